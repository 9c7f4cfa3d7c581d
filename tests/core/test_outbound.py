"""Which addresses the server may connect to when staff enter a host."""

import pytest
from django.core.checks import run_checks

from core import outbound, private_hosts

PUBLIC_ADDRESS = "93.184.215.14"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104 - it leads to this machine
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "fc00::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_an_address_that_is_not_public(address):
    assert not outbound.is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        PUBLIC_ADDRESS,
        "2606:4700::1111",
        "::ffff:93.184.215.14",
        "64:ff9b::5db8:d70e",
    ],
)
def test_a_public_address(address):
    assert outbound.is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
    ],
)
def test_no_spelling_of_a_private_address_is_permitted(host, settings):
    settings.PRIVATE_HOSTS = []
    with pytest.raises(OSError, match="not a permitted target"):
        outbound.permitted_addresses(host, 443, encrypted=True)


def test_a_name_with_one_private_address_is_not_permitted(resolver, settings):
    settings.PRIVATE_HOSTS = []
    resolver["mixed.example"] = [PUBLIC_ADDRESS, "10.0.0.1"]
    with pytest.raises(OSError, match="not a permitted target"):
        outbound.permitted_addresses("mixed.example", 443, encrypted=True)


def test_a_public_host_is_asked_by_https_only(resolver):
    resolver["cdn.example"] = [PUBLIC_ADDRESS]
    with pytest.raises(OSError, match="not a permitted target"):
        outbound.permitted_addresses("cdn.example", 80, encrypted=False)
    found = outbound.permitted_addresses("cdn.example", 443, encrypted=True)
    assert found == [PUBLIC_ADDRESS]


@pytest.mark.parametrize(
    ("entry", "host", "port", "is_named"),
    [
        ("minio.school.lan", "minio.school.lan", 9000, True),
        ("minio.school.lan", "MinIO.School.LAN.", 443, True),
        ("minio.school.lan:9000", "minio.school.lan", 9000, True),
        ("minio.school.lan:9000", "minio.school.lan", 22, False),
        ("minio.school.lan", "other.school.lan", 9000, False),
        ("school.lan", "minio.school.lan", 9000, False),
        ("10.0.0.5", "10.0.0.5", 80, True),
        ("[fd00::5]:9000", "[fd00::5]", 9000, True),
        ("[fd00::5]:9000", "fd00::5", 9001, False),
    ],
)
def test_a_private_host_is_named(entry, host, port, is_named, settings):
    settings.PRIVATE_HOSTS = [entry]
    assert private_hosts.is_named(host, port) is is_named


@pytest.mark.parametrize("entry", ["http://minio", "a/b", "*.lan", "me@minio", "a:b"])
def test_an_entry_that_is_no_host_is_refused_at_start(entry, settings):
    settings.PRIVATE_HOSTS = [entry]
    assert "publishing.E005" in {message.id for message in run_checks()}
    assert not private_hosts.is_named("minio", 80)
