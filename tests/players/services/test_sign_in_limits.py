"""Limits on wrong passwords and bad tokens: which requests are counted together."""

import threading
import uuid

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connections

from players import tokens
from players.models import SecurityEvent, User
from players.services import accounts, devices, rates, sign_in_state
from tests.players.app import PASSWORD, App
from tests.players.test_credentials import SPELLINGS

EMAIL = "lina@school.example"
SCHOOL = "198.51.100.1"


@pytest.fixture(autouse=True)
def behind_a_proxy(settings):
    settings.TRUSTED_PROXIES = 1


def limits(settings, **scopes):
    settings.RATE_LIMITS = settings.RATE_LIMITS | scopes


def app_at(address=SCHOOL, device_id="", token=""):
    app = App(device_id)
    app.token = token
    app.client.credentials(HTTP_X_FORWARDED_FOR=address)
    return app


def statuses(*answers):
    return [answer.status_code for answer in answers]


@pytest.fixture
def no_hash(monkeypatch):
    def forbid():
        def hashed(*_args):
            pytest.fail("a password was hashed")

        for name in ("encode", "verify", "harden_runtime"):
            monkeypatch.setattr(MD5PasswordHasher, name, hashed)

    return forbid


# --- Per account ----------------------------------------------------------------------


@pytest.mark.django_db
def test_wrong_passwords_of_every_spelling_count_together(student, settings, no_hash):
    limits(settings, login_account=(len(SPELLINGS), 60))
    for number, spelling in enumerate(SPELLINGS):
        assert (
            app_at(f"203.0.113.{number}").sign_in(spelling, "wrong").status_code == 401
        )
    no_hash()
    for spelling in (EMAIL, *SPELLINGS):
        assert app_at("203.0.113.99").sign_in(spelling).status_code == 429


@pytest.mark.django_db
def test_nobody_is_locked_out_of_their_own_device(signed_in, settings):
    limits(settings, login_account=(2, 60), login_ip=(4, 60))
    address = "127.0.0.1"
    attacks = [app_at(address).sign_in(EMAIL, "wrong") for _ in range(4)]
    attacks += [app_at(address).sign_in(f"x{n}@x.example", "wrong") for n in range(4)]
    assert 429 in statuses(*attacks)
    assert app_at(address).sign_in(EMAIL).status_code == 429
    assert app_at(address, signed_in.device_id).sign_in(EMAIL).status_code == 200


@pytest.mark.django_db
def test_an_own_device_has_a_limit_of_its_own(signed_in, student, settings, no_hash):
    limits(settings, login_device=(2, 60))
    tablet = uuid.uuid4()
    devices.add(player_id=student.pk, device_id=tablet)
    mine = app_at(device_id=signed_in.device_id)
    assert statuses(mine.sign_in(EMAIL, "wrong"), mine.sign_in(EMAIL)) == [401, 200]
    assert app_at(device_id=str(tablet)).sign_in(EMAIL).status_code == 200
    no_hash()
    assert mine.sign_in(EMAIL).status_code == 429


@pytest.mark.django_db
def test_a_device_is_own_for_its_own_account_only(signed_in, settings):
    accounts.create_player("omar@school.example", PASSWORD)
    limits(settings, login_account=(1, 60))
    app = app_at(device_id=signed_in.device_id)
    answers = [app.sign_in("omar@school.example", "wrong") for _ in range(2)]
    assert statuses(*answers) == [401, 429]


@pytest.mark.django_db
def test_the_right_password_on_a_foreign_device_is_limited_by_account(
    signed_in, settings
):
    limits(settings, login_account=(2, 60), login_ip=(1, 60))
    answers = [app_at().sign_in(EMAIL) for _ in range(3)]
    assert statuses(*answers) == [403, 403, 429]


@pytest.mark.django_db
def test_a_sign_in_that_fails_by_our_fault_costs_nothing(
    student, settings, monkeypatch
):
    from players.errors import StoreAwayError
    from players.services import sessions

    limits(settings, login_account=(1, 60), login_ip=(1, 60))

    def away(*_args):
        raise StoreAwayError("away")

    with monkeypatch.context() as broken:
        broken.setattr(sessions, "_start", away)
        assert app_at().sign_in(EMAIL).status_code == 503
    assert app_at().sign_in(EMAIL).status_code == 200


@pytest.mark.mariadb
@pytest.mark.django_db(transaction=True)
def test_a_race_gets_no_more_attempts_than_the_limit(student, settings):
    limits(settings, login_account=(5, 60))
    start = threading.Barrier(16)
    answers = []

    def guess():
        start.wait()
        answers.append(app_at().sign_in(EMAIL, "wrong").status_code)
        connections.close_all()

    threads = [threading.Thread(target=guess) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [401] * 5 + [429] * 11
    assert SecurityEvent.objects.filter(type="rate_limited").count() == 1


# --- Per address ----------------------------------------------------------------------


@pytest.mark.django_db
def test_a_class_of_forty_behind_one_address_signs_in(plan):
    """With the default limits; every student mistypes once."""
    for number in range(40):
        email = f"s{number}@school.example"
        accounts.create_player(email, PASSWORD, plan=plan)
        app = app_at()
        assert statuses(app.sign_in(email, "wrong"), app.sign_in(email)) == [401, 200]


@pytest.mark.django_db
def test_a_school_of_800_behind_one_address_signs_in(monkeypatch, student):
    """With the default limits; every fifth student mistypes once."""
    for number in range(800):
        who = {"device_id": uuid.uuid4(), "is_own_device": False}
        email = f"s{number}@school.example"
        if number % 5 == 0:
            assert rates.take_login(
                email=email, ip_address=SCHOOL, **who
            ).usage.is_allowed
        attempt = rates.take_login(email=email, ip_address=SCHOOL, **who)
        assert attempt.usage.is_allowed
        attempt.give_back("login_ip", "login_account")
    assert app_at().sign_in(EMAIL).status_code == 200


@pytest.mark.django_db
def test_right_passwords_do_not_count_for_the_address(plan, settings):
    limits(settings, login_ip=(1, 60))
    for number in range(4):
        email = f"s{number}@school.example"
        accounts.create_player(email, PASSWORD, plan=plan)
        assert app_at().sign_in(email).status_code == 200


@pytest.mark.django_db
def test_an_account_that_is_used_up_uses_up_nothing_of_the_address(student, settings):
    limits(settings, login_account=(1, 60), login_ip=(2, 60))
    for _ in range(5):
        app_at().sign_in(EMAIL, "wrong")
    assert app_at().sign_in("omar@school.example", "wrong").status_code == 401
    assert app_at().sign_in("omar@school.example", "wrong").status_code == 429


@pytest.mark.django_db
def test_an_ipv6_network_counts_as_one_address(student, settings):
    limits(settings, login_ip=(2, 60))
    network = "2001:db8:1:2"
    answers = [
        app_at(f"{network}:{host}").sign_in(f"x{host}@x.example", "wrong")
        for host in ("0:0:0:1", ":2", "ffff:ffff:ffff:ffff")
    ]
    assert statuses(*answers) == [401, 401, 429]
    assert app_at("2001:db8:1:3::1").sign_in(EMAIL).status_code == 200


@pytest.mark.django_db
def test_an_ipv4_address_in_ipv6_form_is_the_ipv4_address(student, settings):
    limits(settings, login_ip=(1, 60))
    assert app_at(f"::ffff:{SCHOOL}").sign_in("x@x.example", "wrong").status_code == 401
    assert app_at().sign_in("y@x.example", "wrong").status_code == 429
    assert app_at("::ffff:198.51.100.2").sign_in(EMAIL).status_code == 200
    events = SecurityEvent.objects.exclude(type="enrollment_added")
    addresses = events.values_list("ip_address", flat=True)
    assert set(addresses) == {SCHOOL, "198.51.100.2"}


@pytest.mark.django_db
def test_requests_without_an_address_share_no_limit(student, settings):
    limits(settings, login_ip=(1, 60))
    for number in range(3):
        answer = app_at("").sign_in(f"x{number}@x.example", "wrong")
        assert answer.status_code == 401


# --- Bad tokens ---------------------------------------------------------------------


def made_up(number=1):
    return f"{10**17 + number}.{'A' * 22}.{'A' * 43}"


@pytest.mark.django_db
def test_bad_tokens_are_refused_before_any_query(
    settings, django_assert_num_queries, round_trips
):
    limits(settings, bad_token=(3, 60))
    answers = [app_at(token=made_up(n)).get("wallet/") for n in range(4)]
    assert statuses(*answers) == [401, 401, 401, 429]
    assert "Retry-After" in answers[3]
    round_trips.clear()
    with django_assert_num_queries(0):
        answer = app_at(token=made_up(9)).get("wallet/")
    assert answer.json()["error_code"] == "RATE_LIMITED"
    assert len(round_trips) == 2  # the session's copy; the attempts
    event = SecurityEvent.objects.get()
    assert (event.type, event.ip_address) == ("rate_limited", SCHOOL)
    assert event.details == {"endpoint": "bad_token"}


@pytest.mark.django_db
@pytest.mark.parametrize("lost", [False, True])
def test_a_class_goes_on_beside_somebody_who_sends_bad_tokens(
    signed_in, settings, redis_client, lost
):
    """Also when Redis has no copy of the good session."""
    limits(settings, bad_token=(1, 60))
    for number in range(3):
        app_at(token=made_up(number)).get("wallet/")
    if lost:
        redis_client.delete(*redis_client.scan_iter("active_session:*"))
    mine = app_at(device_id=signed_in.device_id, token=signed_in.token)
    assert mine.get("wallet/").status_code == 200


@pytest.mark.django_db
def test_good_tokens_of_before_the_tag_are_not_counted(
    signed_in, settings, redis_client
):
    limits(settings, bad_token=(1, 60))
    player_id, _tag, secret = signed_in.token.split(".")
    mine = app_at(device_id=signed_in.device_id, token=f"{player_id}.{secret}")
    for _ in range(3):
        redis_client.flushdb()
        assert mine.get("auth/session/").status_code == 200


@pytest.mark.django_db
def test_a_token_of_ours_costs_no_more_round_trips_than_before(
    signed_in, redis_client, round_trips
):
    signed_in.get("auth/session/")
    redis_client.delete(*redis_client.scan_iter("active_session:*"))
    round_trips.clear()
    signed_in.get("auth/session/")
    # This test's scan; the session's copy; its renewal; the request's count.
    assert len([sent for sent in round_trips if b"EVALSHA" in b"".join(sent)]) == 3


@pytest.mark.django_db
def test_bad_tokens_are_counted_for_each_network(settings):
    limits(settings, bad_token=(1, 60))
    for number in range(2):
        app_at(f"2001:db8::{number}", token=made_up(number)).get("wallet/")
    assert app_at("2001:db8::9", token=made_up(7)).get("wallet/").status_code == 429
    assert app_at("2001:db8:0:1::", token=made_up(8)).get("wallet/").status_code == 401


@pytest.mark.django_db
def test_without_redis_the_database_decides_about_every_token(
    signed_in, settings, tmp_path
):
    limits(settings, bad_token=(0, 60))
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    assert app_at(token=made_up()).get("wallet/").status_code == 401
    assert signed_in.get("auth/session/").status_code == 200


@pytest.mark.django_db
def test_the_key_of_a_token_is_this_servers(signed_in, settings):
    token = tokens.parse(signed_in.token)
    assert token.is_made_with(settings.SECRET_KEY)


# --- Attempts -----------------------------------------------------------------------


def test_an_attempt_that_is_given_back_frees_its_place(settings):
    limits(settings, one=(1, 60), two=(2, 60))
    first = rates.take(one="a", two="a")
    assert first.usage.is_allowed
    assert not rates.take(one="a", two="a").usage.is_allowed
    assert rates.take(two="a").usage.remaining == 0  # the refusal used none of it
    first.give_back("one")
    again = rates.take(one="a")
    assert again.usage.is_allowed
    assert again.usage.remaining == 0


def test_only_the_first_refusal_of_a_window_is_the_first(settings):
    limits(settings, one=(1, 60))
    first = rates.take(one="a")
    refusals = [rates.take(one="a").usage.is_first_refusal for _ in range(3)]
    assert refusals == [True, False, False]
    first.give_back()
    rates.take(one="a")
    assert not rates.take(one="a").usage.is_first_refusal


def test_an_attempt_given_back_after_its_window_leaves_no_credit(
    settings, redis_client
):
    limits(settings, one=(1, 60))
    attempt = rates.take(one="a")
    (name,) = redis_client.scan_iter("rate_limit:*:attempts")
    assert 0 < redis_client.pttl(name) <= 60_000
    redis_client.delete(name)  # as Redis does when the window ends
    attempt.give_back()
    assert rates.take(one="a").usage.is_allowed
    assert not rates.take(one="a").usage.is_allowed


def test_without_redis_every_attempt_is_allowed(settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    attempt = rates.take(login_ip="a")
    assert attempt.usage is None
    attempt.give_back()
    rates.require_allowed(attempt.usage, note=lambda: pytest.fail("nothing to note"))


@pytest.mark.parametrize(
    ("text", "found"),
    [("7/60", (7, 60)), ("300/300", (300, 300))],
)
def test_a_limit_is_read_from_the_environment(monkeypatch, text, found):
    from memora_site.settings import _limit

    monkeypatch.setenv("MEMORA_LOGIN_ACCOUNT_LIMIT", text)
    assert _limit("MEMORA_LOGIN_ACCOUNT_LIMIT", "10/300") == found


@pytest.mark.parametrize(
    "text", ["10", "0/60", "10/0", "-1/60", "ten/60", "١٠/60", "/"]
)
def test_a_limit_that_is_none_is_named(monkeypatch, text):
    from django.core.exceptions import ImproperlyConfigured

    from memora_site.settings import _limit

    monkeypatch.setenv("MEMORA_LOGIN_ACCOUNT_LIMIT", text)
    with pytest.raises(ImproperlyConfigured, match="MEMORA_LOGIN_ACCOUNT_LIMIT"):
        _limit("MEMORA_LOGIN_ACCOUNT_LIMIT", "10/300")


@pytest.mark.django_db
def test_no_account_stands_in_redis(student, redis_client):
    app_at().sign_in(EMAIL, "wrong")
    assert User.objects.exists()
    assert not [name for name in redis_client.scan_iter("*") if b"lina" in name]
    assert sign_in_state.read(student.pk).token_sha256 is None
