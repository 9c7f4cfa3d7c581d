"""Rate limits: what is counted, what is answered, and what happens without Redis."""

import threading
import time

import pytest

from players.models import SecurityEvent
from players.services import rates
from tests.players.app import App

EMAIL = "lina@school.example"


def limits(settings, **scopes):
    settings.RATE_LIMITS = settings.RATE_LIMITS | scopes


def refusal(answer):
    return answer.status_code, answer.json()["error_code"]


@pytest.mark.django_db
def test_every_answer_tells_what_is_left(signed_in, settings):
    limits(settings, **{"me-list": (3, 60)})
    answers = [signed_in.get("me/") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer["X-RateLimit-Limit"] for answer in answers] == ["3"] * 4
    left = [answer["X-RateLimit-Remaining"] for answer in answers]
    assert left == ["2", "1", "0", "0"]
    for answer in answers:
        assert 0 <= int(answer["X-RateLimit-Reset"]) - time.time() <= 61


@pytest.mark.django_db
def test_too_many_says_how_long_to_wait(signed_in, settings):
    limits(settings, **{"me-list": (1, 60)})
    signed_in.get("me/")
    answer = signed_in.get("me/")
    assert refusal(answer) == (429, "RATE_LIMITED")
    wait = int(answer["Retry-After"])
    assert 1 <= wait <= 60
    assert answer.json()["details"] == {
        "limit": 1,
        "window_seconds": 60,
        "retry_after": wait,
    }


@pytest.mark.django_db
def test_each_endpoint_has_a_count_of_its_own(signed_in, settings):
    limits(settings, default=(1, 60))
    assert signed_in.get("me/").status_code == 200
    assert signed_in.get("wallet/").status_code == 200
    assert signed_in.get("me/").status_code == 429


@pytest.mark.django_db
def test_a_window_that_is_over_starts_anew(signed_in, settings, redis_client):
    limits(settings, **{"me-list": (1, 60)})
    assert signed_in.get("me/").status_code == 200
    assert signed_in.get("me/").status_code == 429
    (name,) = redis_client.scan_iter("rate_limit:*:me-list")
    assert 0 < redis_client.pttl(name) <= 60_000
    redis_client.delete(name)  # as Redis does when the window ends
    assert signed_in.get("me/").status_code == 200


@pytest.mark.django_db
def test_a_count_that_lost_its_end_gets_one_again(signed_in, redis_client):
    signed_in.get("me/")
    (name,) = redis_client.scan_iter("rate_limit:*:me-list")
    redis_client.persist(name)
    signed_in.get("me/")
    assert redis_client.pttl(name) > 0


@pytest.mark.django_db
def test_a_flood_is_one_line_in_the_audit_trail(signed_in, settings):
    limits(settings, **{"me-list": (1, 60)})
    for _ in range(5):
        signed_in.get("me/")
    event = SecurityEvent.objects.get(type="rate_limited")
    assert event.details == {"endpoint": "me-list"}
    assert event.user.email == EMAIL
    assert str(event.device_id) == signed_in.device_id


@pytest.mark.django_db
def test_a_stranger_cannot_use_up_a_players_limit(signed_in, settings):
    limits(settings, **{"me-list": (1, 60)})
    stranger = App(signed_in.device_id)
    stranger.token = f"{signed_in.token.split('.')[0]}.{'A' * 43}"
    for _ in range(3):
        assert stranger.get("me/").status_code == 401
    assert signed_in.get("me/").status_code == 200


@pytest.mark.django_db
def test_sign_ins_are_counted_by_account(student, settings):
    limits(settings, login_account=(2, 60))
    answers = [App().sign_in(EMAIL.upper(), "wrong") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert "Retry-After" in answers[2]
    assert answers[2]["X-RateLimit-Remaining"] == "0"
    assert App().sign_in("someone@school.example", "wrong").status_code == 401


@pytest.mark.django_db
def test_sign_ins_are_counted_by_address(student, settings):
    limits(settings, login_ip=(2, 60))
    answers = [App().sign_in(f"user{n}@x.example", "wrong") for n in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert SecurityEvent.objects.filter(type="rate_limited").count() == 1


@pytest.mark.django_db
def test_the_right_password_does_not_pass_a_full_count(student, settings):
    limits(settings, login_account=(1, 60))
    app = App()
    app.sign_in(EMAIL, "wrong")
    assert refusal(app.sign_in(EMAIL)) == (429, "RATE_LIMITED")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("proxies", "sent", "counted"),
    [
        (0, "1.1.1.1", "127.0.0.1"),
        (1, "1.1.1.1", "1.1.1.1"),
        (1, "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        (2, "6.6.6.6, 1.1.1.1, 10.0.0.1", "1.1.1.1"),
        (2, "1.1.1.1", "127.0.0.1"),
        (1, "rubbish", None),
        (1, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_only_trusted_proxies_say_where_a_request_comes_from(
    student, settings, proxies, sent, counted
):
    settings.TRUSTED_PROXIES = proxies
    app = App()
    app.client.credentials(HTTP_X_FORWARDED_FOR=sent)
    app.sign_in(EMAIL, "wrong")
    assert SecurityEvent.objects.get(type="refused").ip_address == counted


@pytest.mark.django_db
def test_no_address_and_no_account_stands_in_redis(student, redis_client):
    App().sign_in(EMAIL, "wrong")
    assert not [name for name in redis_client.scan_iter("*") if b"lina" in name]


@pytest.mark.django_db
def test_staff_are_counted_too(support, as_staff, student, settings):
    limits(settings, **{"staff-devices-list": (1, 60)})
    client = as_staff(support)
    path = f"/api/v1/admin/devices/?player_id={student.pk}"
    assert client.get(path)["X-RateLimit-Remaining"] == "0"
    assert refusal(client.get(path)) == (429, "RATE_LIMITED")


def test_80_threads_through_a_limit_of_10_lets_exactly_10(settings):
    limits(settings, raced=(10, 60))
    start = threading.Barrier(80)
    allowed = []

    def ask():
        start.wait()
        allowed.append(rates.spend(who="7", scope="raced").is_allowed)

    threads = [threading.Thread(target=ask) for _ in range(80)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(allowed) == 80
    assert sum(allowed) == 10


def test_without_redis_everybody_is_let_through(settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    assert rates.spend(who="7", scope="any") is None
    rates.require_allowed(None, note=lambda: pytest.fail("nothing to note"))
