"""Progress over HTTP: bodies, statuses, headers."""

import pytest
from django.db import OperationalError, connection

from content.models import Node
from plans.services import set_override
from progress.models import InteractionLog
from tests.progress.conftest import make_subject, publish

pytestmark = pytest.mark.django_db
COMPLETE = "lessons/LES-MATH-0-0/complete/"
NEXT = "lessons/LES-MATH-0-1/complete/"


def refusal(answer) -> tuple[int, str]:
    assert set(answer.json()) <= {"error_code", "message", "details"}
    assert answer.json()["message"]
    return answer.status_code, answer.json()["error_code"]


def test_a_student_completes_a_lesson_and_sees_it(phone):
    answer = phone.post(COMPLETE, {"hearts": 5})
    assert answer.status_code == 200
    assert answer.json()["xp_earned"] == 35
    assert answer.json()["next_lesson_id"] == "LES-MATH-0-1"
    progress = phone.get("progress/SUBJ-MATH/").json()
    assert progress["passed_lessons"] == 1
    assert progress["completion_percentage"] == 25.0
    assert phone.get("wallet/").json()["total_xp"] == 35


def test_progress_that_the_app_has_is_not_sent_again(phone):
    first = phone.get("progress/SUBJ-MATH/")
    assert first["Content-Type"] == "application/json"
    assert first["Cache-Control"] == "private, no-cache"
    again = phone.get("progress/SUBJ-MATH/", if_none_match=first["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert (again["ETag"], again["Cache-Control"]) == (
        first["ETag"],
        first["Cache-Control"],
    )
    assert "Content-Type" not in again
    phone.post(COMPLETE, {"hearts": 5})
    changed = phone.get("progress/SUBJ-MATH/", if_none_match=first["ETag"])
    assert changed.status_code == 200
    assert changed["ETag"] != first["ETag"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "hearts"),
        ({"hearts": 6}, "hearts"),
        ({"hearts": -1}, "hearts"),
        ({"hearts": "5"}, "hearts"),
        ({"hearts": 2.5}, "hearts"),
        ({"hearts": True}, "hearts"),
        ({"hearts": None}, "hearts"),
        ({"hearts": [5]}, "hearts"),
        ({"hearts": 5, "xp": 1000}, "xp"),
        ([5], "body"),
        ("5", "body"),
        (None, "hearts"),
    ],
)
def test_a_wrong_body_is_refused_and_names_the_field(phone, body, field):
    answer = phone.post(COMPLETE, body)
    assert refusal(answer) == (400, "INVALID_BODY")
    assert field in answer.json()["details"]["fields"]
    assert not InteractionLog.objects.exists()


@pytest.mark.parametrize("key", ["", "x" * 101, "café", "a\tb"])
def test_a_wrong_idempotency_key_is_refused(phone, key):
    answer = phone.post(COMPLETE, {"hearts": 5}, key=key)
    assert refusal(answer) == (400, "INVALID_BODY")
    assert list(answer.json()["details"]["fields"]) == ["Idempotency-Key"]


def test_a_repeat_is_answered_byte_for_byte(phone):
    first = phone.post(COMPLETE, {"hearts": 4}, key="k 1")
    phone.post("lessons/LES-MATH-0-1/complete/", {"hearts": 5})
    repeat = phone.post(COMPLETE, {"hearts": 4}, key="k 1")
    assert (repeat.status_code, repeat.content) == (200, first.content)
    other = phone.post("lessons/LES-MATH-0-1/complete/", {"hearts": 4}, key="k 1")
    assert refusal(other) == (409, "IDEMPOTENCY_CONFLICT")


def test_refusals_have_their_statuses(plan, phone):
    make_subject("OTHER")
    complete = "lessons/{}/complete/"
    locked = phone.post(complete.format("LES-MATH-1-0"), {"hearts": 5})
    assert refusal(locked) == (403, "NOT_UNLOCKED")
    assert locked.json()["details"] == {"next_lesson_id": "LES-MATH-0-0"}
    assert refusal(phone.post(COMPLETE, {"hearts": 0})) == (400, "NO_HEARTS")
    for lesson in ("LES-OTHER-0-0", "nothing", "..", "a.b", "%00"):
        answer = phone.post(complete.format(lesson), {"hearts": 5})
        assert refusal(answer) == (404, "INVALID_LESSON"), lesson
    for subject in ("SUBJ-OTHER", "a.b", "LES-MATH-0-0"):
        answer = phone.get(f"progress/{subject}/")
        assert refusal(answer) == (404, "INVALID_SUBJECT"), subject
    set_override(
        plan=plan,
        target=Node.objects.get(public_id="SUBJ-MATH"),
        action="set_sold_separately",
        value="ITEM-1",
    )
    publish(plan)
    assert refusal(phone.post(COMPLETE, {"hearts": 5})) == (403, "NOT_ENTITLED")


def test_who_has_no_token_is_refused(client):
    for path in ("progress/SUBJ-MATH/", "reviews/", "reviews/due/"):
        assert refusal(client.get(f"/api/v1/{path}")) == (401, "NOT_AUTHENTICATED")
    answer = client.post(f"/api/v1/{COMPLETE}")
    assert refusal(answer) == (401, "NOT_AUTHENTICATED")


def test_without_redis_everything_but_signing_in_works(phone, settings):
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    assert phone.post(COMPLETE, {"hearts": 5}).json()["xp_earned"] == 35
    assert phone.get("wallet/").json()["total_xp"] == 35
    assert phone.get("progress/SUBJ-MATH/").json()["passed_lessons"] == 1
    for path in ("content/", "content/lessons/LES-MATH-0-0/", "reviews/", "me/"):
        assert phone.get(path).status_code == 200


# The completion closes the lost connection, which would end the test's transaction.
@pytest.mark.django_db(transaction=True)
def test_without_the_database_the_answer_is_503_and_nothing_happened(
    phone, redis_client
):
    phone.post(COMPLETE, {"hearts": 5})
    before = phone.get("progress/SUBJ-MATH/").content

    def away(execute, sql, *rest):
        raise OperationalError(2006, "server has gone away")

    with connection.execute_wrapper(away):
        answer = phone.post(COMPLETE, {"hearts": 5})
    assert refusal(answer) == (503, "SERVICE_UNAVAILABLE")
    assert phone.get("progress/SUBJ-MATH/").content == before
    assert InteractionLog.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_completion_over_http_is_one_insert(
    phone, django_assert_num_queries, count_redis
):
    phone.post(COMPLETE, {"hearts": 5})
    count_redis.clear()
    # INSERT INTO progress_interactionlog
    with django_assert_num_queries(1):
        assert phone.post(NEXT, {"hearts": 5}).status_code == 200
    # The session check, which reads and begins all; put.
    assert len(count_redis) == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("path", "queries"),
    [
        *(("auth/session/", 0), ("wallet/", 0), ("progress/SUBJ-MATH/", 0)),
        # The publishing settings, which a process reads again after a second.
        *(("content/", 1), ("content/lessons/LES-MATH-0-0/", 1)),
    ],
)
def test_reading_is_one_round_trip(
    phone, django_assert_num_queries, count_redis, path, queries
):
    phone.post(COMPLETE, {"hearts": 5})
    phone.get(path)
    count_redis.clear()
    with django_assert_num_queries(queries):
        assert phone.get(path).status_code == 200
    assert len(count_redis) == 1


@pytest.mark.django_db(transaction=True)
def test_a_cold_player_costs_a_fixed_number_of_queries(
    phone, django_assert_num_queries, count_redis, redis_client
):
    phone.post(COMPLETE, {"hearts": 5})
    redis_client.flushdb()
    count_redis.clear()
    # Session and devices; plans and products; the ledger's wallet and subject; the
    # day's repeats; INSERT INTO progress_interactionlog.
    with django_assert_num_queries(6):
        assert phone.post(COMPLETE, {"hearts": 5}).status_code == 200
    # The session check; its copy; the check again, with the records; access; create;
    # put. Scripts that Redis has lost are sent a second time.
    trips = [sent for sent in count_redis if b"EVAL\r\n" not in sent]
    assert len(trips) == 6


# --- Reviews ----------------------------------------------------------------


def test_a_student_reviews_what_is_due(phone):
    phone.post(COMPLETE, {"hearts": 5})
    overview = phone.get("reviews/").json()
    assert (overview["total"], overview["due"]) == (2, 2)
    due = phone.get("reviews/due/?subject=SUBJ-MATH&limit=1").json()["items"]
    assert [item["item_id"] for item in due] == ["Q1-MATH-0-0"]
    rated = {"item_id": "Q1-MATH-0-0", "lesson_id": "LES-MATH-0-0", "rating": 3}
    answer = phone.post("reviews/", {"reviews": [rated]}, key="r1")
    assert answer.status_code == 200
    assert answer.json()["accepted"] == 1
    assert (
        phone.post("reviews/", {"reviews": [rated]}, key="r1").content == answer.content
    )
    assert phone.get("reviews/").json()["due"] == 1


GOOD = {"item_id": "Q1-MATH-0-0", "lesson_id": "LES-MATH-0-0", "rating": 3}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reviews"),
        ({"reviews": []}, "reviews"),
        ({"reviews": [GOOD] * 101}, "reviews"),
        ({"reviews": [GOOD], "more": 1}, "more"),
        ({"reviews": [5]}, "reviews[0]"),
        ({"reviews": [GOOD, GOOD | {"rating": 5}]}, "reviews[1].rating"),
        ({"reviews": [GOOD | {"rating": True}]}, "reviews[0].rating"),
        ({"reviews": [GOOD | {"item_id": 3}]}, "reviews[0].item_id"),
        ({"reviews": [GOOD | {"lesson_id": ""}]}, "reviews[0].lesson_id"),
        ({"reviews": [GOOD | {"reviewed_at": 5}]}, "reviews[0].reviewed_at"),
        (
            {"reviews": [GOOD | {"reviewed_at": "2026-01-01T00:00:00"}]},
            "reviews[0].reviewed_at",
        ),
        ({"reviews": [GOOD | {"grade": 5}]}, "reviews[0].grade"),
    ],
)
def test_a_wrong_batch_is_refused_and_names_the_field(phone, body, field):
    answer = phone.post("reviews/", body)
    assert refusal(answer) == (400, "INVALID_BODY")
    assert field in answer.json()["details"]["fields"]


def test_an_item_that_was_not_met_is_refused_and_named(phone):
    answer = phone.post("reviews/", {"reviews": [GOOD]})
    assert refusal(answer) == (409, "ITEM_NOT_MET")
    assert answer.json()["details"] == {
        "index": 0,
        "item_id": GOOD["item_id"],
        "lesson_id": GOOD["lesson_id"],
    }


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "limit=", "limit=²"]
)
def test_a_wrong_limit_is_refused(phone, query):
    answer = phone.get(f"reviews/due/?{query}")
    assert refusal(answer) == (400, "INVALID_BODY")


def test_due_items_of_a_subject_outside_the_plan_are_refused(phone):
    answer = phone.get("reviews/due/?subject=SUBJ-OTHER")
    assert refusal(answer) == (404, "INVALID_SUBJECT")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["reviews/", "reviews/due/?subject=SUBJ-MATH"])
def test_reviews_are_one_round_trip_and_one_query(
    phone, django_assert_num_queries, count_redis, path
):
    phone.post(COMPLETE, {"hearts": 5})
    phone.get(path)
    count_redis.clear()
    # The watermark with the end of the ledger and the cards.
    with django_assert_num_queries(1):
        assert phone.get(path).status_code == 200
    assert len(count_redis) == 1
