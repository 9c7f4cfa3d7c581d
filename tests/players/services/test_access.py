"""What a player may open, and the URLs the player gets for it."""

import hashlib
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from content.models import LessonStage, Node
from plans.models import AcademicPlan, OverrideAction
from plans.services import add_subject, set_override
from players import keys, records
from players.errors import InvalidLessonError, NotEnrolledError, NotEntitledError
from players.models import Enrollment, Entitlement, PlayerProfile
from players.records import Wanted
from players.services import access, accounts
from publishing.building import builds
from publishing.destinations import public_destination_id
from publishing.models import Publication, PublishingSettings, UploadedDocument
from publishing.published_content import NotPublishedError
from publishing.signing import links
from tests.factories.content import make_branch, make_stage
from tests.players.app import PASSWORD
from tests.publishing.fake_s3 import BASE_URL, turn_on

pytestmark = pytest.mark.django_db
NOW = 1_800_000_000.0


@pytest.fixture
def lessons(plan):
    """The plan's published lessons: an authenticated, a free and a paid one."""
    branch = make_branch(lessons=3)
    for lesson in branch.lessons:
        make_stage(lesson)
    usual, free, sold = branch.lessons
    add_subject(plan=plan, subject=branch.subject)
    set_override(plan=plan, target=free, action=OverrideAction.SET_FREE)
    set_override(
        plan=plan,
        target=sold,
        action=OverrideAction.SET_SOLD_SEPARATELY,
        value="MATHS-5",
    )
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry is not None
    assert entry.error == ""
    return usual.public_id, free.public_id, sold.public_id


def refusal(answer):
    return answer.status_code, answer.json()["error_code"]


# --- Access and its copy ----------------------------------------------------------


def test_access_names_plans_and_products(student):
    until = datetime(2027, 1, 1, tzinfo=UTC)
    Entitlement.objects.create(player=student, item="FOREVER")
    Entitlement.objects.create(player=student, item="YEAR", valid_until=until)
    found = access.of_player(student.pk)
    assert found.active_plan_id == "PLAN-5"
    assert found.enrolled_plan_ids == {"PLAN-5"}
    assert found.items == {"FOREVER": None, "YEAR": until.timestamp()}
    assert access.of_player(student.pk) == found  # now from Redis


def test_a_product_ends_at_its_time(student):
    until = datetime(2027, 1, 1, tzinfo=UTC)
    Entitlement.objects.create(player=student, item="YEAR", valid_until=until)
    found = access.of_player(student.pk)
    assert found.is_entitled("YEAR", until.timestamp() - 1)
    assert not found.is_entitled("YEAR", until.timestamp())
    assert not found.is_entitled("OTHER", 0.0)


def test_access_is_read_from_redis_once_known(
    student, round_trips, django_assert_num_queries
):
    access.of_player(student.pk)
    round_trips.clear()
    with django_assert_num_queries(0):
        access.of_player(student.pk)
    assert len(round_trips) == 1


def test_a_player_who_never_was_has_access_to_nothing(db):
    found = access.of_player(10**17)
    assert (found.active_plan_id, found.enrolled_plan_ids, found.items) == (
        "",
        frozenset(),
        {},
    )


CHANGES = [
    lambda player, _plan: Enrollment.objects.get(player=player).delete(),
    lambda player, _plan: Enrollment.objects.filter(player=player).delete(),
    lambda player, plan: Enrollment.objects.create(player=player, plan=plan),
    lambda player, plan: Enrollment.objects.bulk_create(
        [Enrollment(player=player, plan=plan)]
    ),
    lambda player, plan: Enrollment.objects.filter(player=player).update(plan=plan),
    lambda player, _plan: Entitlement.objects.create(player=player, item="NEW"),
    lambda player, plan: PlayerProfile.objects.filter(pk=player.pk).update(
        active_plan=plan
    ),
    lambda player, plan: accounts.enroll(player, plan),
    lambda player, _plan: player.active_plan.delete(),
]


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_drops_the_copy(
    student, change, django_capture_on_commit_callbacks
):
    other = AcademicPlan.objects.create(title="Grade 6", public_id="PLAN-6")
    before = access.of_player(student.pk)
    with django_capture_on_commit_callbacks(execute=True):
        change(student, other)
    assert access.of_player(student.pk) != before


def test_a_slow_reader_cannot_put_back_what_was_taken(
    student, django_capture_on_commit_callbacks
):
    found = records.look(student.pk, Wanted(access=True))
    assert found.may_fill_access
    with django_capture_on_commit_callbacks(execute=True):
        Enrollment.objects.all().delete()
    assert not records.fill_access(found, version=0, value=b'["PLAN-5",["PLAN-5"],{}]')
    assert access.of_player(student.pk).enrolled_plan_ids == frozenset()


def test_a_copy_is_not_believed_for_ever(student, redis_client):
    access.of_player(student.pk)
    assert 0 < redis_client.ttl(keys.access(student.pk)) <= 300


def test_without_redis_the_database_tells(student, settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    assert access.of_player(student.pk).active_plan_id == "PLAN-5"


# --- Lessons ----------------------------------------------------------------------


def test_an_active_plan_without_enrolment_is_not_enrolled(student):
    Enrollment.objects.all().delete()
    with pytest.raises(NotEnrolledError):
        access.require_enrolled(access.of_player(student.pk))


def test_a_plan_without_release_has_no_lessons(student):
    with pytest.raises(NotPublishedError):
        access.require_lesson(student.pk, "LES-1", NOW)


def test_a_lesson_outside_the_plan_is_refused(student, lessons):
    with pytest.raises(InvalidLessonError):
        access.require_lesson(student.pk, "LES-ELSEWHERE", NOW)


def test_a_sold_lesson_needs_its_product(student, lessons):
    _usual, _free, sold = lessons
    with pytest.raises(NotEntitledError) as refused:
        access.require_lesson(student.pk, sold, NOW)
    assert refused.value.details == {"required_item": "MATHS-5"}


def test_a_sold_lesson_opens_until_its_product_ends(
    student, lessons, django_capture_on_commit_callbacks
):
    _usual, _free, sold = lessons
    until = datetime.fromtimestamp(NOW, UTC) + timedelta(days=1)
    with django_capture_on_commit_callbacks(execute=True):
        Entitlement.objects.create(player=student, item="MATHS-5", valid_until=until)
    assert access.require_lesson(student.pk, sold, NOW).id == sold
    with pytest.raises(NotEntitledError):
        access.require_lesson(student.pk, sold, until.timestamp())


# --- Over HTTP ----------------------------------------------------------------------


def test_the_app_finds_its_plans_manifest(signed_in, lessons, settings):
    settings.SITE_URL = "https://memora.example"
    base = "https://memora.example/files/memora_content/"
    manifest = settings.CONTENT_ROOT / "plans/PLAN-5/manifest.json"
    assert signed_in.get("content/").json() == {
        "plan_id": "PLAN-5",
        "title": "Grade 5",
        "manifest_url": f"{base}plans/PLAN-5/manifest.json",
        "manifest_path": "plans/PLAN-5/manifest.json",
        "manifest_hash": hashlib.sha256(manifest.read_bytes()).hexdigest(),
        "base_url": base,
        "local_base_url": base,
    }


def test_the_app_is_sent_to_the_cdn_once_that_has_the_file(signed_in, lessons):
    _usual, free, _sold = lessons
    current = turn_on("https://s3.example.org")
    here = "http://127.0.0.1:8000/files/memora_content/"
    manifest, lesson = "plans/PLAN-5/manifest.json", f"lessons/{free}.json"

    def found() -> tuple[str, str, str]:
        plan = signed_in.get("content/").json()
        lesson_url = signed_in.get(f"content/lessons/{free}/").json()["url"]
        return plan["base_url"], plan["manifest_url"], lesson_url

    assert found() == (here, here + manifest, here + lesson)
    UploadedDocument.objects.create(
        target=public_destination_id(current), path=lesson, sha256="a" * 64
    )
    there = f"{BASE_URL}/"
    assert found() == (here, here + manifest, there + lesson)
    Publication.objects.update(cdn_place=public_destination_id(current))
    assert found() == (there, there + manifest, there + lesson)


def test_no_plan_and_no_release_are_told_apart(
    signed_in, student, django_capture_on_commit_callbacks
):
    assert refusal(signed_in.get("content/")) == (503, "NOT_PUBLISHED_YET")
    with django_capture_on_commit_callbacks(execute=True):
        Enrollment.objects.all().delete()
    assert refusal(signed_in.get("content/")) == (403, "NOT_ENROLLED")
    assert refusal(signed_in.get("content/lessons/LES-1/")) == (403, "NOT_ENROLLED")


def test_an_open_lesson_is_read_from_where_everybody_reads_it(signed_in, lessons):
    _usual, free, _sold = lessons
    body = signed_in.get(f"content/lessons/{free}/").json()
    assert body["url"].endswith(f"/files/memora_content/lessons/{free}.json")
    assert body["expires_at"] is None


def test_a_gated_lesson_comes_as_a_url_for_a_quarter_of_an_hour(
    signed_in, lessons, student
):
    usual, _free, _sold = lessons
    now = time.time()
    body = signed_in.get(f"content/lessons/{usual}/").json()
    query = parse_qs(urlsplit(body["url"]).query)
    expires = int(query["expires"][0])
    assert body["lesson_id"] == usual
    assert datetime.fromisoformat(body["expires_at"]).timestamp() == expires
    assert 0 < expires - now <= 15 * 60
    assert query["player"] == [str(student.pk)]
    uri = body["url"].removeprefix("http://127.0.0.1:8000")
    assert links.seconds_left(uri, now=int(now)) == expires - int(now)
    assert body["videos"] == {}


@pytest.mark.parametrize("embedded", [True, False])
def test_a_lessons_videos_come_with_fresh_urls(signed_in, lessons, embedded):
    usual, _free, _sold = lessons
    lesson = Node.objects.get(public_id=usual)
    for stage_id, source in {
        "STG-ours": "unit-1/intro.mp4",
        "STG-theirs": "https://video.example/a",
    }.items():
        LessonStage.objects.create(
            public_id=stage_id,
            lesson=lesson,
            type="Video",
            title="Watch",
            config={"source": source},
        )
    current = PublishingSettings.get_solo()
    current.embed_signed_urls, current.signed_url_hours = embedded, 2
    current.save()
    builds.publish_plan(AcademicPlan.objects.get().pk, trigger="test")
    now = int(time.time())
    videos = signed_in.get(f"content/lessons/{usual}/").json()["videos"]
    assert set(videos) == {"STG-ours"}
    until = datetime.fromisoformat(videos["STG-ours"]["expires_at"]).timestamp()
    assert 0 <= until - now - 2 * 3600 <= 60
    uri = videos["STG-ours"]["signed_url"].removeprefix("http://127.0.0.1:8000")
    assert uri.startswith("/files/videos/unit-1/intro.mp4?")
    assert links.seconds_left(uri, now=now) == until - now


@pytest.mark.parametrize(
    "broken", [{"cdn_secret_key": "unreadable"}, {"cdn_endpoint": "no address"}]
)
def test_lessons_are_read_though_the_cdn_s_settings_are_broken(
    signed_in, lessons, broken
):
    usual, free, _sold = lessons
    make_stage(
        Node.objects.get(public_id=free), type="Video", config={"source": "a.mp4"}
    )
    turn_on("https://s3.example.org")
    builds.build_plan(AcademicPlan.objects.get().pk)
    PublishingSettings.objects.update(**broken)
    for lesson_id in (usual, free):
        answer = signed_in.get(f"content/lessons/{lesson_id}/")
        assert answer.status_code == 200, answer.content


def test_a_sold_lesson_is_refused_over_http_too(signed_in, lessons):
    _usual, _free, sold = lessons
    answer = signed_in.get(f"content/lessons/{sold}/")
    assert refusal(answer) == (403, "NOT_ENTITLED")
    assert refusal(signed_in.get("content/lessons/LES-NO/")) == (404, "INVALID_LESSON")


def test_even_an_open_lessons_url_asks_for_a_session(app, lessons):
    _usual, free, _sold = lessons
    answer = app.get(f"content/lessons/{free}/")
    assert refusal(answer) == (401, "NOT_AUTHENTICATED")


@pytest.mark.parametrize("lesson_id", ["%00", "..%2F..", "x" * 3000, "é", "%FF", "a b"])
def test_an_impossible_lesson_id_is_no_lesson(signed_in, lessons, lesson_id):
    answer = signed_in.get(f"content/lessons/{lesson_id}/")
    assert answer.status_code == 404


def test_one_plans_player_does_not_open_anothers_lessons(
    lessons, app, django_capture_on_commit_callbacks
):
    usual, _free, _sold = lessons
    other = AcademicPlan.objects.create(
        title="Grade 6", public_id="PLAN-6", is_published=True
    )
    add_subject(plan=other, subject=make_branch("Physics").subject)
    builds.publish_plan(other.pk, trigger="test")
    accounts.create_player("omar@school.example", PASSWORD, plan=other)
    with django_capture_on_commit_callbacks(execute=True):
        app.sign_in("omar@school.example")
    assert refusal(app.get(f"content/lessons/{usual}/")) == (404, "INVALID_LESSON")
