"""A student's days, over real HTTP."""

from uuid import UUID, uuid4

import pytest

from content.models import Node
from memora_site.demo_client import StoryError, StudentApp, play, send
from plans.services import set_override
from tests.journeys.conftest import EMAIL, PASSWORD, publish, refusal


def test_the_whole_story_is_told_step_by_step(phone: StudentApp):
    lines = list(play(phone, email=EMAIL, password=PASSWORD))

    assert lines[0] == "Signed in as sara@example.org on this device."
    assert "/files/memora_content/plans/PLAN-1/manifest.json" in lines[1]
    assert lines[-1] == "The wallet has 35 XP."  # 10 + 2 * 5 + 5 + 10
    assert any("so far: 0 of 3 " in sentence for sentence in lines)
    assert any("now: 1 of 3 " in sentence for sentence in lines)


def test_the_story_can_be_told_again_when_all_is_done(phone: StudentApp):
    lines: list[str] = []
    for _telling in range(4):
        lines = list(play(phone, email=EMAIL, password=PASSWORD))

    assert "The whole subject is done." in lines
    # Three first completions and a repeated lesson without a record.
    assert lines[-1] == f"The wallet has {3 * 35 + 20} XP."


def test_a_plan_without_lessons_ends_the_story_in_words(phone: StudentApp, plan):
    subject = Node.objects.get(public_id="TRK-AR")
    set_override(plan=plan, target=subject, action="hide")
    publish(plan)

    with pytest.raises(StoryError, match="no lesson"):
        list(play(phone, email=EMAIL, password=PASSWORD))


def test_a_locked_lesson_opens_when_the_one_before_is_passed(phone: StudentApp):
    phone.sign_in(EMAIL, PASSWORD)

    assert refusal(phone.complete, "LES-AR-0-1", hearts=5) == (403, "NOT_UNLOCKED")
    assert refusal(phone.complete, "LES-AR-1-0", hearts=5) == (403, "NOT_UNLOCKED")

    phone.complete("LES-AR-0-0", hearts=3)
    phone.complete("LES-AR-0-1", hearts=3)
    answer = phone.complete("LES-AR-1-0", hearts=3)

    assert answer["is_first_completion"]
    assert phone.get("progress/SUBJ-AR/")["completion_percentage"] == 100


def test_a_lesson_without_hearts_left_earns_nothing(phone: StudentApp):
    phone.sign_in(EMAIL, PASSWORD)

    assert refusal(phone.complete, "LES-AR-0-0", hearts=0) == (400, "NO_HEARTS")
    assert phone.get("wallet/")["total_xp"] == 0


def test_the_same_request_twice_is_paid_once(phone: StudentApp):
    phone.sign_in(EMAIL, PASSWORD)
    path, body, key = "lessons/LES-AR-0-0/complete/", {"hearts": 4}, str(uuid4())

    first = phone.post(path, body, idempotency_key=key)
    again = phone.post(path, body, idempotency_key=key)

    assert again == first
    assert phone.get("wallet/")["total_xp"] == first["new_total_xp"]


def test_an_open_lesson_is_a_plain_file_and_a_gated_one_needs_its_link(
    phone: StudentApp, server: str
):
    files = f"{server}/files/memora_content/lessons"
    assert send("GET", f"{files}/LES-AR-0-0.json")["id"] == "LES-AR-0-0"
    assert refusal(send, "GET", f"{files}/LES-AR-0-1.json")[0] in (401, 403, 404)

    phone.sign_in(EMAIL, PASSWORD)
    url = phone.get("content/lessons/LES-AR-0-1/")["url"]

    assert send("GET", url)["id"] == "LES-AR-0-1"
    assert refusal(send, "GET", url.replace("LES-AR-0-1", "LES-AR-1-0"))[0] in (
        401,
        403,
        404,
    )


def test_the_last_device_to_sign_in_has_the_session(
    phone: StudentApp, server: str, student
):
    phone.sign_in(EMAIL, PASSWORD)
    stranger = StudentApp(server)

    assert refusal(stranger.sign_in, EMAIL, PASSWORD) == (403, "DEVICE_NOT_AUTHORIZED")
    assert phone.get("auth/session/")["valid"]

    token = phone.token
    phone.sign_in(EMAIL, PASSWORD)
    phone.token, new_token = token, phone.token
    assert refusal(phone.get, "wallet/") == (401, "SESSION_REPLACED")

    phone.token = new_token
    phone.sign_out()
    phone.token = new_token
    assert refusal(phone.get, "wallet/") == (401, "SESSION_SIGNED_OUT")


def test_what_an_editor_changes_reaches_the_app_and_progress_stays(
    phone: StudentApp, plan
):
    phone.sign_in(EMAIL, PASSWORD)
    phone.complete("LES-AR-0-0", hearts=5)

    unit = Node.objects.get(public_id="UNIT-AR-1")
    set_override(plan=plan, target=unit, action="rename", value="الوحدة الجديدة")
    hidden = Node.objects.get(public_id="LES-AR-0-1")
    set_override(plan=plan, target=hidden, action="hide")
    publish(plan)

    manifest = phone.read(phone.get("content/")["manifest_url"])
    hierarchy = phone.read(manifest["subjects"][0]["hierarchy_url"])
    progress = phone.get("progress/SUBJ-AR/")
    titles = [unit["title"] for unit in hierarchy["tracks"][0]["units"]]
    assert titles == ["Unit 0", "الوحدة الجديدة"]
    assert (progress["passed_lessons"], progress["total_lessons"]) == (1, 2)
    assert progress["suggested_next_lesson_id"] == "LES-AR-1-0"
    assert refusal(phone.complete, "LES-AR-0-1", hearts=5) == (404, "INVALID_LESSON")


@pytest.mark.parametrize(
    ("email", "password"), [(EMAIL, "wrong"), ("nobody@example.org", PASSWORD)]
)
def test_wrong_credentials_do_not_say_which_is_wrong(
    phone: StudentApp, email: str, password: str
):
    assert refusal(phone.sign_in, email, password) == (401, "INVALID_CREDENTIALS")


def test_a_device_id_that_is_no_uuid_v4_is_refused(phone: StudentApp):
    phone.device_id = UUID(int=0)

    assert refusal(phone.sign_in, EMAIL, PASSWORD) == (400, "INVALID_DEVICE_ID")


@pytest.mark.parametrize(
    "body", [{}, {"hearts": "5"}, {"hearts": 6}, {"hearts": -1}, {"hearts": None}]
)
def test_a_wrong_body_is_refused_in_words(phone: StudentApp, body):
    phone.sign_in(EMAIL, PASSWORD)

    answer = refusal(phone.post, "lessons/LES-AR-0-0/complete/", body)

    assert answer == (400, "INVALID_BODY")


def test_without_a_token_nothing_is_told(phone: StudentApp):
    for path in ("content/", "wallet/", "me/", "progress/SUBJ-AR/"):
        assert refusal(phone.get, path) == (401, "NOT_AUTHENTICATED")


def test_what_is_not_there_is_not_found(phone: StudentApp):
    phone.sign_in(EMAIL, PASSWORD)

    assert refusal(phone.complete, "LES-NONE", hearts=5) == (404, "INVALID_LESSON")
    assert refusal(phone.get, "progress/SUBJ-NONE/") == (404, "INVALID_SUBJECT")
    assert refusal(phone.get, "content/lessons/LES-NONE/") == (404, "INVALID_LESSON")
