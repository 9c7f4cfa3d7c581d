"""``rebuild_device_cache``: copies go, and the next request makes them again."""

import uuid

import pytest
from django.core.management import CommandError
from django.db.models import QuerySet

from players import keys, records
from players.models import Session
from tests.commands import run, run_json

pytestmark = pytest.mark.django_db


def test_copies_that_are_wrong_are_made_again_from_the_database(
    student, signed_in, redis_client
):
    """As in a Redis that came back older: it lacks a revocation and a device."""
    assert signed_in.get("auth/session/").status_code == 200
    QuerySet(Session).filter(player=student).update(token_sha256="0" * 64)
    redis_client.sadd(keys.devices(student.pk), str(uuid.uuid4()))
    assert signed_in.get("auth/session/").status_code == 200
    said, code = run_json("rebuild_device_cache")
    assert (said, code) == ({"ok": True, "deleted": 2}, 0)
    assert signed_in.get("auth/session/").status_code == 401
    held = redis_client.smembers(keys.devices(student.pk))
    assert held == {signed_in.device_id.encode()}


def test_nobody_is_signed_out(signed_in):
    run("rebuild_device_cache")
    assert signed_in.get("auth/session/").status_code == 200


def test_wallets_and_other_keys_stay(student, redis_client):
    records.create(student.pk, wallet=records.WalletState())
    redis_client.set("cdn_export:heartbeat", "7")
    assert "0 keys deleted" in run("rebuild_device_cache")
    assert redis_client.exists(keys.wallet(student.pk), "cdn_export:heartbeat") == 2


def test_a_tombstone_stays_because_its_change_is_not_committed(student, redis_client):
    records.block_sign_in({student.pk: 5})
    run("rebuild_device_cache")
    assert redis_client.get(keys.active_session(student.pk)) == b"t5"


def test_a_redis_that_is_away_is_said(db, settings):
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    said, code = run_json("rebuild_device_cache")
    assert (said["ok"], code) == (False, 1)
    with pytest.raises(CommandError, match=r"Redis does not answer.*Nothing is lost"):
        run("rebuild_device_cache")


def test_it_asks_the_database_nothing(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        run("rebuild_device_cache")
