"""The demo command's choices before it starts any process."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.conf import settings as real_settings
from django.core.management import CommandError

from memora_site import demo_client, demo_site


def test_a_taken_port_is_replaced_by_a_free_one():
    with socket.socket() as taken:
        taken.bind((demo_site.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert demo_site.usable_port(port) not in (port, 0)


def test_a_port_that_is_none_is_replaced_by_a_free_one():
    assert 0 < demo_site.usable_port(99999) < 65536


def test_a_second_demo_on_the_same_state_is_refused(settings, tmp_path):
    settings.STATE_DIR = tmp_path

    with (
        demo_site.only_demo(),
        pytest.raises(CommandError, match="Another demo is running"),
        demo_site.only_demo(),
    ):
        pass

    with demo_site.only_demo():
        pass


# --- The address --------------------------------------------------------------


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((demo_site.HOST, 0))
        return probe.getsockname()[1]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind((demo_site.HOST, 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_by_itself_the_demo_serves_this_machine_alone(free_port):
    found = demo_site.choose_address(port=free_port, host=None, site_url="")

    assert found == demo_site.Address(
        "127.0.0.1", free_port, f"http://127.0.0.1:{free_port}"
    )


def test_with_a_host_it_serves_the_network_and_publishes_that_address(free_port):
    found = demo_site.choose_address(port=free_port, host="192.168.1.20", site_url="")

    assert (found.bind, found.site_url) == (
        demo_site.ALL_ADDRESSES,
        f"http://192.168.1.20:{free_port}",
    )
    assert found.server == f"http://127.0.0.1:{free_port}"


def test_the_site_url_of_the_environment_is_published_and_its_port_served(free_port):
    url = f"http://10.0.2.2:{free_port}"

    assert demo_site.choose_address(
        port=None, host=None, site_url=f"{url}/"
    ) == demo_site.Address("127.0.0.1", free_port, url)


def test_behind_a_tunnel_the_port_is_another_than_the_site_url_s(free_port):
    found = demo_site.choose_address(
        port=free_port, host=None, site_url="https://demo.example"
    )

    assert (found.port, found.site_url) == (free_port, "https://demo.example")


def test_a_taken_port_of_the_site_url_is_refused(taken_port):
    with pytest.raises(CommandError, match="is in use"):
        demo_site.choose_address(
            port=None, host=None, site_url=f"http://10.0.2.2:{taken_port}"
        )


def test_a_host_that_no_client_can_use_is_refused(free_port):
    with pytest.raises(CommandError, match="Specify the address that phones use"):
        demo_site.choose_address(
            port=free_port, host=demo_site.ALL_ADDRESSES, site_url=""
        )


def in_another_process(code: str, **environment: str) -> str:
    """Run ``code`` in a process with these settings and return its output."""
    inherited = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", f"from memora_site import settings; {code}"],
        cwd=real_settings.BASE_DIR,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_process_beside_the_demo_publishes_its_address(tmp_path):
    (tmp_path / "site_url").write_text("http://192.168.1.20:8080")
    state = {"MEMORA_STATE_DIR": str(tmp_path)}
    show = "print(settings.SITE_URL, '192.168.1.20' in settings.ALLOWED_HOSTS)"

    assert in_another_process(show, **state) == "http://192.168.1.20:8080 True"
    assert (
        in_another_process(show, **state, MEMORA_SITE_URL="http://10.0.2.2:8000")
        == "http://10.0.2.2:8000 False"
    )
    (tmp_path / "site_url").unlink()
    assert in_another_process(show, **state) == "http://127.0.0.1:8000 False"


def test_production_takes_no_address_from_the_state(tmp_path):
    (tmp_path / "site_url").write_text("http://192.168.1.20:8080")
    shown = in_another_process(
        "print(settings.SITE_URL, settings.ALLOWED_HOSTS, "
        "settings.CORS_ALLOWED_ORIGINS, settings.CORS_ALLOWED_ORIGIN_REGEXES)",
        MEMORA_STATE_DIR=str(tmp_path),
        MEMORA_ENVIRONMENT="production",
    )

    assert shown == "http://127.0.0.1:8000 [] [] []"


@pytest.mark.parametrize("host", ["10.0.2.2", "localhost", "127.0.0.1"])
def test_an_emulator_s_name_of_this_machine_is_a_host(host, tmp_path):
    shown = in_another_process(
        "print(settings.ALLOWED_HOSTS)", MEMORA_STATE_DIR=str(tmp_path)
    )

    assert host in shown


def test_the_story_reads_files_here_wherever_their_links_lead(monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr(
        demo_client, "send", lambda method, url, **_more: asked.append(url)
    )
    app = demo_client.StudentApp(
        "http://127.0.0.1:8000", public_url="http://10.0.2.2:8000"
    )

    app.read("http://10.0.2.2:8000/files/a.json")
    app.read("https://cdn.example/files/a.json")

    assert asked == [
        "http://127.0.0.1:8000/files/a.json",
        "https://cdn.example/files/a.json",
    ]
