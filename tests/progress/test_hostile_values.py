"""Values that no app sends: each is refused with 400 or 404, never a server error."""

from urllib.parse import quote

import pytest

from players.models import User
from progress.models import InteractionLog

pytestmark = pytest.mark.django_db

RATING = {"item_id": "Q1-MATH-0-0", "lesson_id": "LES-MATH-0-0", "rating": 3}
TIMES = [
    "0001-01-01T00:00:00+14:00",
    "0001-06-01T00:00:00+01:00",
    "9999-12-31T23:59:59-14:00",
    "9999-06-01T00:00:00-01:00",
]
NUMBERS = [
    "0000000019999999999",
    "9" * 30,
    "9" * 4400,
    "0" * 4400 + "5",
    "٧",
    "²",
    "1e400",
    "nan",
    "-1",
]
WORDS = ["\x00", "LES\x00", "😀", "é", "٣", "a" * 5000, "..", "-1", "9" * 4400]


@pytest.mark.parametrize("time", TIMES)
def test_a_time_that_no_calendar_has_is_refused_and_named(phone, time):
    answer = phone.post("reviews/", {"reviews": [RATING | {"reviewed_at": time}]})
    assert answer.status_code == 400
    assert list(answer.json()["details"]["fields"]) == ["reviews[0].reviewed_at"]
    assert not InteractionLog.objects.exists()


@pytest.mark.parametrize("limit", NUMBERS)
def test_a_limit_is_within_its_bounds(phone, limit):
    answer = phone.get(f"reviews/due/?limit={limit}")
    assert answer.status_code == 400
    assert list(answer.json()["details"]["fields"]) == ["limit"]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("field", ["item_id", "lesson_id"])
def test_a_word_that_is_no_id_is_refused(phone, field, word):
    answer = phone.post("reviews/", {"reviews": [RATING | {field: word}]})
    assert answer.status_code == 400
    assert list(answer.json()["details"]["fields"]) == [f"reviews[0].{field}"]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_in_an_address_is_not_found(phone, word):
    word = quote(word, safe="")
    for answer in (
        phone.post(f"lessons/{word}/complete/", {"hearts": 5}),
        phone.get(f"progress/{word}/"),
        phone.get(f"content/lessons/{word}/"),
        phone.get(f"reviews/due/?subject={word}"),
    ):
        assert answer.status_code == 404, answer.content


@pytest.mark.parametrize(
    "body",
    [
        b'{"hearts": 1e400}',
        b'{"hearts": NaN}',
        b'{"hearts": ' + b"9" * 30 + b"}",
        b'{"hearts": ' + b"9" * 5000 + b"}",
        b'{"hearts": "\\ud800"}',
        b'{"\\u0000": 1}',
        b'{"hearts": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\xff\xfe",
        b"",
    ],
)
def test_a_body_that_is_no_json_of_ours_is_refused(phone, body):
    answer = phone.send_bytes("lessons/LES-MATH-0-0/complete/", body)
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "INVALID_BODY"


@pytest.mark.parametrize("number", [*NUMBERS, "0", "9" * 19])
def test_staff_name_players_by_numbers(client, number):
    client.force_login(User.objects.create_superuser("root@example.com", "a-password"))
    client.raise_request_exception = False
    listed = client.get("/api/v1/admin/devices/", {"player_id": number})
    assert listed.status_code == 400
    assert "player_id" in listed.json()["details"]["fields"]
    for answer in (
        client.delete(f"/api/v1/admin/devices/{number}/"),
        client.post(f"/api/v1/admin/wallets/{number}/xp/", {"xp": 1, "reason": "a"}),
    ):
        assert answer.status_code == 404
