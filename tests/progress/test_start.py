"""What the app gets at its start: one round trip, one answer, a 304 when unchanged."""

from datetime import timedelta

import pytest
import time_machine

from core.parsing import time_text
from plans.models import AcademicPlan
from players.models import Enrollment, Entitlement, PlayerProfile
from players.services import content
from tests.progress.conftest import MONDAY, Phone, enrolled, publish

pytestmark = pytest.mark.django_db


def start(phone, etag: str | None = None):
    return phone.get("start/", if_none_match=etag)


@pytest.fixture(autouse=True)
def monday():
    """It is Monday noon; the tests move the clock."""
    with time_machine.travel(MONDAY, tick=False) as clock:
        yield clock


@pytest.fixture
def product(student, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        return Entitlement.objects.create(player=student, item="BOOK")


def test_the_parts_are_the_answers_of_their_own_endpoints(
    phone, student, product, finish, settings
):
    settings.MIN_APP_VERSION = "1.2.3"
    settings.APP_STORE_URLS = {"": "https://memora.example/app"}
    finish("0-0")
    answer = start(phone)
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "private, no-cache"
    body = answer.json()
    assert body == {
        "server_time": time_text(MONDAY),
        "time_zone": "UTC",
        "limits": {
            "requests": 100,
            "window_seconds": 60,
            "ratings": 100,
            "due_items": 100,
            "lesson_links": content.MAX_LINKS,
            "photo_bytes": settings.PICTURE_MAX_BYTES,
        },
        "min_app_version": "1.2.3",
        "app_store_url": "https://memora.example/app",
        "me": phone.get("me/").json(),
        "settings": {"locale": "en", "time_zone": "UTC"},
        "plan": phone.get("content/").json(),
        "plans": phone.get("me/plans/").json()["plans"],
        "wallet": phone.get("wallet/").json(),
        "entitlements": phone.get("me/entitlements/").json()["entitlements"],
        "due_reviews": phone.get("reviews/").json()["due"],
    }
    assert body["due_reviews"] == 2
    assert body["wallet"]["total_xp"] > 0
    assert [one["code"] for one in body["entitlements"]] == ["BOOK"]


def test_the_students_own_settings_apply(phone, student):
    PlayerProfile.objects.filter(pk=student.pk).update(
        locale="ar", time_zone="Asia/Amman"
    )
    body = start(phone).json()
    assert body["settings"] == {"locale": "ar", "time_zone": "Asia/Amman"}
    assert body["time_zone"] == "Asia/Amman"


def test_a_warm_start_is_one_round_trip_and_four_queries(
    phone, student, product, finish, count_redis, django_assert_num_queries
):
    finish("0-0")
    start(phone)
    count_redis.clear()
    # The publishing settings; the reviews; the profile; the plans.
    with django_assert_num_queries(4):
        assert start(phone).status_code == 200
    assert len(count_redis) == 1
    etag = start(phone)["ETag"]
    with django_assert_num_queries(4):
        assert start(phone, etag).status_code == 304


def test_more_plans_and_products_cost_no_more_queries(
    phone, student, django_capture_on_commit_callbacks, django_assert_num_queries
):
    with django_capture_on_commit_callbacks(execute=True):
        for number in range(5):
            plan = AcademicPlan.objects.create(
                public_id=f"PLAN-{number}", title=str(number)
            )
            Enrollment.objects.create(player=student, plan=plan)
            Entitlement.objects.create(player=student, item=f"ITEM-{number}")
    start(phone)
    with django_assert_num_queries(4):
        body = start(phone).json()
    assert (len(body["plans"]), len(body["entitlements"])) == (6, 5)


# --- The ETag ---------------------------------------------------------------


def test_an_unchanged_start_is_a_304_however_late_it_is(phone, monday):
    etag = start(phone)["ETag"]
    assert etag.startswith('W/"')
    monday.shift(timedelta(hours=2))
    again = start(phone, etag)
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
    assert start(phone, etag.removeprefix("W/")).status_code == 304
    assert start(phone, '"another"').status_code == 200


def test_a_photo_s_signature_is_not_part_of_the_etag(phone, student, monday):
    etag = start(phone)["ETag"]
    PlayerProfile.objects.filter(pk=student.pk).update(photo="photos/a.png")
    with_photo = start(phone, etag)
    assert with_photo.status_code == 200
    url = with_photo.json()["me"]["photo_url"]
    monday.shift(timedelta(minutes=10))
    assert start(phone, with_photo["ETag"]).status_code == 304
    assert start(phone).json()["me"]["photo_url"] != url
    PlayerProfile.objects.filter(pk=student.pk).update(photo="photos/b.png")
    assert start(phone, with_photo["ETag"]).status_code == 200


def edit(plan: AcademicPlan) -> None:
    AcademicPlan.objects.filter(pk=plan.pk).update(title="Renamed")
    publish(plan)


CHANGES = [
    lambda student, plan, finish, settings: finish("0-0"),
    lambda student, plan, finish, settings: edit(plan),
    lambda student, plan, finish, settings: Entitlement.objects.create(
        player=student, item="NEW"
    ),
    lambda student, plan, finish, settings: setattr(
        settings, "MIN_APP_VERSION", "0.0.1"
    ),
    lambda student, plan, finish, settings: PlayerProfile.objects.filter(
        pk=student.pk
    ).update(locale="ar"),
    lambda student, plan, finish, settings: Enrollment.objects.create(
        player=student, plan=AcademicPlan.objects.create(public_id="P-2", title="2")
    ),
]


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_gives_a_new_etag(
    phone, student, plan, finish, settings, change, django_capture_on_commit_callbacks
):
    etag = start(phone)["ETag"]
    with django_capture_on_commit_callbacks(execute=True):
        change(student, plan, finish, settings)
    answer = start(phone, etag)
    assert answer.status_code == 200
    assert answer["ETag"] != etag


def test_a_product_that_ends_and_a_day_that_is_missed_change_the_etag(
    phone, student, finish, monday, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        Entitlement.objects.create(
            player=student, item="BOOK", valid_until=MONDAY + timedelta(hours=1)
        )
    first = start(phone)["ETag"]
    monday.shift(timedelta(hours=1))
    assert start(phone, first).json()["entitlements"][0]["is_valid"] is False
    finish("0-0")
    etag = start(phone)["ETag"]
    monday.shift(timedelta(days=2))
    assert start(phone, etag).json()["wallet"]["current_streak"] == 0


# --- Without a plan, Redis or a session --------------------------------------


def test_without_a_release_the_start_has_no_plan(
    phone, student, django_capture_on_commit_callbacks
):
    new = AcademicPlan.objects.create(public_id="P-NEW", title="New")
    with django_capture_on_commit_callbacks(execute=True):
        Enrollment.objects.create(player=student, plan=new)
        PlayerProfile.objects.filter(pk=student.pk).update(active_plan=new)
    body = start(phone).json()
    assert (body["plan"], body["due_reviews"]) == (None, 0)
    assert body["me"]["plan"] == {"id": "P-NEW", "title": "New"}


def test_without_an_enrolment_the_start_has_no_plan(
    phone, student, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        Enrollment.objects.all().delete()
    body = start(phone).json()
    assert (body["plan"], body["plans"], body["due_reviews"]) == (None, [], 0)


def test_without_redis_the_database_answers(phone, settings, tmp_path):
    before = start(phone)
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    assert start(phone).json() == before.json()


def test_two_students_have_two_etags(phone, plan, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        other = Phone(enrolled(plan, "badr@example.com").user.email)
    assert start(other, start(phone)["ETag"]).status_code == 200


def test_the_time_is_that_of_the_server(phone, monday):
    monday.shift(timedelta(seconds=1.999))
    assert start(phone).json()["server_time"] == "2026-03-02T12:00:01Z"


def test_a_warm_wallet_is_one_round_trip_and_no_query(
    phone, finish, count_redis, django_assert_num_queries
):
    finish("0-0")
    phone.get("wallet/")
    count_redis.clear()
    with django_assert_num_queries(0):
        assert phone.get("wallet/").json()["total_xp"] == 35
    assert len(count_redis) == 1
