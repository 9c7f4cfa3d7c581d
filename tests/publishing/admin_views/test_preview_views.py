"""The student preview in the admin: its content, its permissions, and no scripts."""

import io
import json
import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image

from content import services
from content.kinds import Kind
from content.models import LessonStage, MediaFile, Node
from content.stage_types import SCHEMAS
from plans.models import AcademicPlan
from plans.services import add_subject, set_override
from players import roles
from players.models import User
from publishing.admin_views import preview_parts, upload_views
from publishing.building import builds, draft_documents
from publishing.models import PublishedDocument, PublishingSettings, SyncLog
from tests.factories.content import Branch, make_branch, make_stage, quiz

pytestmark = pytest.mark.django_db

EVIL = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


@pytest.fixture
def branch() -> Branch:
    made = make_branch("Physics", lessons=2)
    make_stage(made.lessons[0], title="First step")
    return made


@pytest.fixture
def plan(branch) -> AcademicPlan:
    plan = AcademicPlan.objects.create(
        public_id="PLAN-1", title="Grade 12", is_published=True
    )
    add_subject(plan=plan, subject=branch.subject)
    return plan


@pytest.fixture
def browser_of():
    """Return a staff user's browser with one role; without a role, a superuser's."""

    def sign_in(role: str = "") -> Client:
        user = User.objects.create_user(
            f"{role or 'root'}@example.com".replace(" ", ""),
            "staff-password-1",
            is_staff=True,
            is_superuser=not role,
        )
        if role:
            user.groups.add(Group.objects.get(name=role))
        browser = Client()
        browser.force_login(user)
        browser.cookies["django_language"] = "en"
        return browser

    return sign_in


@pytest.fixture
def browser(browser_of) -> Client:
    return browser_of(roles.CONTENT_EDITORS)


def app(kind, thing, **query) -> str:
    asked = "&".join(f"{key}={value}" for key, value in query.items())
    return f"{reverse(f'admin:app_{kind}', args=[thing.public_id])}?{asked}"


def document_on(page) -> dict:
    """The document that the page's script renders."""
    found = re.search(
        r'<script id="lesson-document" type="application/json">(.*?)</script>',
        page.content.decode(),
        re.DOTALL,
    )
    return json.loads(found[1])


def type_live(browser, *stages, **fields):
    body = {"lesson": None, "title": "Draft", "stages": list(stages), **fields}
    url = reverse("admin:preview_live")
    return browser.post(url, json.dumps(body), content_type="application/json")


# --- Draft and published -------------------------------------------------------------


def test_a_lesson_is_shown_as_it_is_now_and_as_it_was_published(browser, branch, plan):
    lesson = branch.lessons[0]
    builds.publish_plan(plan.pk)
    LessonStage.objects.filter(lesson=lesson).update(title="Second thoughts")

    draft = document_on(browser.get(app("lesson", lesson)))
    published = document_on(browser.get(app("lesson", lesson, state="published")))

    assert [stage["title"] for stage in draft["stages"]] == ["Second thoughts"]
    assert [stage["title"] for stage in published["stages"]] == ["First step"]


def test_the_draft_is_the_document_a_publish_would_make(browser, branch, plan):
    lesson = branch.lessons[0]
    draft = document_on(browser.get(app("lesson", lesson)))
    builds.publish_plan(plan.pk)
    published = document_on(browser.get(app("lesson", lesson, state="published")))
    for document in (draft, published):
        del document["version"], document["generated_at"]
    assert draft == published


def test_an_uploaded_picture_is_found_from_wherever_the_lesson_was_read(
    browser, branch, plan, settings
):
    lesson = branch.lessons[0]
    card = {"id": "ITEM-1", "front": "a", "back": "b", "image": "/media/images/a.png"}
    make_stage(lesson, type="Reveal", config={"cards": [card]}, position=2)
    file = settings.CONTENT_ROOT / "lessons" / f"{lesson.public_id}.json"

    def picture_of(document) -> str:
        return document["stages"][1]["config"]["cards"][0]["image"]

    for site in (settings.SITE_URL, "https://learn.example"):
        current = PublishingSettings.get_solo()
        current.local_domain = site
        current.save()
        builds.publish_plan(plan.pk)
        expected = f"{site}/media/images/a.png"
        assert picture_of(json.loads(file.read_text())) == expected
        assert picture_of(document_on(browser.get(app("lesson", lesson)))) == expected


def test_looking_writes_nothing(browser, branch, plan, settings):
    for kind, thing in (
        ("plan", plan),
        ("topic", branch.topic),
        ("lesson", branch.lessons[0]),
    ):
        assert browser.get(app(kind, thing)).status_code == 200
    assert not PublishedDocument.objects.exists()
    assert not SyncLog.objects.exists()
    assert not settings.CONTENT_ROOT.exists()


def test_a_plan_shows_its_tree_with_access_and_locks(browser, branch, plan):
    Node.objects.filter(pk=branch.subject.pk).update(required_item="PHYS")
    Node.objects.filter(pk=branch.unit.pk).update(is_linear=True)
    second = services.create_node(
        kind=Kind.TOPIC, parent=branch.unit, title="Later", is_published=True
    )
    services.create_node(
        kind=Kind.LESSON,
        parent=second,
        title="L",
        is_published=True,
        is_free_preview=True,
    )
    page = browser.get(app("plan", plan)).content.decode()
    assert "Physics topic" in page
    assert "Paid" in page
    assert "Opens after “Physics topic”" in page


def test_a_topic_shows_each_lessons_access_as_this_plan_gives_it(browser, branch, plan):
    set_override(plan=plan, target=branch.lessons[1], action="set_free")
    Node.objects.filter(pk=branch.topic.pk).update(is_linear=True)
    page = browser.get(app("topic", branch.topic)).content.decode()
    assert "Signed in" in page
    assert "Free preview" in page
    assert "Opens after “Lesson 1”" in page


def test_another_plan_another_view(browser, branch, plan):
    other = AcademicPlan.objects.create(title="Grade 11", is_published=True)
    add_subject(plan=other, subject=branch.subject)
    set_override(plan=other, target=branch.lessons[0], action="hide")
    for chosen, hidden in ((plan, False), (other, True)):
        page = browser.get(app("lesson", branch.lessons[0], plan=chosen.public_id))
        assert ("do not get this lesson" in page.content.decode()) is hidden


KINDS = ["subject", "track", "unit", "topic", "lesson"]


def of_kind(branch, kind) -> Node:
    return branch.lessons[0] if kind == "lesson" else getattr(branch, kind)


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_what_is_not_published_yet_is_explained(browser, branch, plan, kind):
    page = browser.get(app(kind, of_kind(branch, kind), state="published"))
    assert page.status_code == 200
    assert "is not published in this plan yet" in page.content.decode()


@pytest.mark.parametrize("draft", KINDS[:-1])
@pytest.mark.parametrize("kind", KINDS[1:-1])
def test_a_draft_is_shown_as_it_will_look_with_a_word_that_it_is_not_seen_yet(
    browser, branch, plan, kind, draft
):
    Node.objects.filter(pk=of_kind(branch, draft).pk).update(is_published=False)
    Node.objects.filter(pk=branch.lessons[1].pk).update(is_published=False)
    text = browser.get(app(kind, of_kind(branch, kind))).content.decode()
    assert "do not see this yet" in text
    assert ("Lesson 2" if kind == "topic" else "Physics topic") in text


def test_only_the_branch_is_shown_of_a_track_or_a_unit(browser, branch, plan):
    for kind, parent in ((Kind.UNIT, branch.track), (Kind.TRACK, branch.subject)):
        services.create_node(
            kind=kind, parent=parent, title=f"Other {kind}", is_published=True
        )
    Node.objects.filter(title__startswith="Other").update(is_linear=True)
    builds.publish_plan(plan.pk)
    for state in ("draft", "published"):
        for kind in ("unit", "track", "subject"):
            page = browser.get(app(kind, of_kind(branch, kind), state=state))
            assert "Physics topic" in page.content.decode()
            assert "Other" not in page.content.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_what_no_plan_has_yet_is_shown_all_the_same(browser, branch, kind):
    page = browser.get(app(kind, of_kind(branch, kind)))
    text = page.content.decode()
    if kind == "lesson":
        assert document_on(page)["stages"][0]["title"] == "First step"
    else:
        assert "This subject is not in any plan yet." in text
        assert ("Lesson 1" if kind == "topic" else "Physics topic") in text
    assert "Signed in" in text


def test_what_a_plan_hides_is_not_shown(browser, branch, plan):
    set_override(plan=plan, target=branch.unit, action="hide")
    for kind in ("unit", "topic"):
        text = browser.get(app(kind, of_kind(branch, kind))).content.decode()
        assert "Students of this plan will not see this" in text


def test_the_tree_may_name_the_plan_by_its_key(browser, branch, plan):
    other = AcademicPlan.objects.create(title="Another", is_published=True)
    add_subject(plan=other, subject=branch.subject)
    set_override(plan=other, target=branch.topic, action="set_free")
    text = browser.get(app("topic", branch.topic, plan=other.pk)).content.decode()
    assert "Free preview" in text


def test_a_plan_that_cannot_be_built_says_why(browser, branch, plan):
    stage = LessonStage.objects.get()
    LessonStage.objects.filter(pk=stage.pk).update(config={"format": "html"})
    # The preview shows it; only publishing refuses it.
    assert browser.get(app("lesson", branch.lessons[0])).status_code == 200
    assert browser.get(app("plan", plan)).status_code == 200


def test_a_video_of_ours_is_signed_anew(browser, branch, plan, settings, tmp_path):
    settings.VIDEO_ROOT = tmp_path
    lesson = branch.lessons[1]
    make_stage(lesson, type="Video", config={"source": "unit/a b.mp4"})
    builds.publish_plan(plan.pk)
    for state in ("draft", "published"):
        document = document_on(browser.get(app("lesson", lesson, state=state)))
        url = urlsplit(document["stages"][0]["config"]["signed_url"])
        assert url.path == "/files/videos/unit/a%20b.mp4"
        assert "token=" in url.query


@pytest.mark.parametrize(
    ("title", "language", "direction"),
    [("الفيزياء", "", "rtl"), ("123 Physics", "", "ltr"), ("Physics", "ar", "rtl")],
)
def test_content_has_its_own_direction(
    browser, plan, branch, title, language, direction
):
    branch.subject.state.language = language
    branch.subject.state.save()
    lesson = branch.lessons[0]
    Node.objects.filter(pk=lesson.pk).update(title=title)
    for ui in ("ar", "en"):
        browser.cookies["django_language"] = ui
        page = browser.get(app("lesson", lesson)).content.decode()
        assert f'<html lang="{ui}" dir="{"rtl" if ui == "ar" else "ltr"}">' in page
        assert re.search(rf'class="app player"\s+dir="{direction}"', page)


@pytest.mark.parametrize("kind", ["unit", "topic", "lesson"])
def test_a_draft_reads_only_its_own_branch(
    browser, branch, plan, kind, django_assert_max_num_queries
):
    unit = services.create_node(
        kind=Kind.UNIT, parent=branch.track, title="Other", is_published=True
    )
    topic = services.create_node(
        kind=Kind.TOPIC, parent=unit, title="Other", is_published=True
    )
    services.create_node(kind=Kind.LESSON, parent=topic, title="L", is_published=True)
    node = Node.objects.get(pk=of_kind(branch, kind).pk)
    made = draft_documents.DraftDocuments(plan, node)
    assert made.offers(node)
    assert not made.offers(topic)
    # Session, user, permissions (2); policy; node, plans; the subject's root; settings;
    # overrides; branch and stages; a lesson's own stages; the language; savepoints.
    with django_assert_max_num_queries(17):
        browser.get(app(kind, node))


# --- Permissions ---------------------------------------------------------------------


PAGES = [f"{page}_{kind}" for kind in [*KINDS, "plan"] for page in ("preview", "app")]


def address(name, branch, plan) -> str:
    kind = name.split("_")[1]
    thing = plan if kind == "plan" else of_kind(branch, kind)
    return reverse(f"admin:{name}", args=[thing.public_id])


@pytest.mark.parametrize("name", PAGES)
def test_nobody_looks_without_signing_in(client, branch, plan, name):
    page = client.get(address(name, branch, plan))
    assert page.status_code == 302
    assert reverse("admin:login") in page.url


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(
    ("role", "status"),
    [
        (roles.CONTENT_EDITORS, 200),
        (roles.PUBLISHERS, 200),
        (roles.SUPPORT, 403),
    ],
)
def test_who_may_view_content_may_look(browser_of, branch, plan, name, role, status):
    page = browser_of(role).get(address(name, branch, plan))
    assert page.status_code == status


@pytest.mark.parametrize("name", PAGES)
def test_what_is_not_there_is_not_found(browser, name):
    assert browser.get(reverse(f"admin:{name}", args=["NONE-1"])).status_code == 404


def test_support_may_neither_type_nor_upload(browser_of):
    browser = browser_of(roles.SUPPORT)
    assert type_live(browser).status_code == 403
    for name in ("upload_image", "upload_video"):
        assert browser.post(reverse(f"admin:{name}")).status_code == 403
    assert browser.get(reverse("admin:watch_video")).status_code == 403
    assert browser.get(reverse("admin:preview_blank")).status_code == 403


# --- Attacks that must not run -------------------------------------------------------


@pytest.mark.parametrize("name", [*PAGES, "preview_blank"])
def test_no_page_runs_what_is_not_ours(browser, branch, plan, name):
    url = (
        reverse(f"admin:{name}")
        if name == "preview_blank"
        else address(name, branch, plan)
    )
    page = browser.get(url)
    policy = dict(
        part.split(" ", 1) for part in page["Content-Security-Policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'self'"
    framed = name.startswith("app_") or name == "preview_blank"
    assert page["X-Frame-Options"] == ("SAMEORIGIN" if framed else "DENY")
    text = page.content.decode()
    for script in re.findall(r"<script\b[^>]*>", text):
        assert "src=" in script or 'type="application/json"' in script, script
    assert not re.search(r"<[^>]+\son\w+\s*=", text)
    assert not re.search(r'<[^>]+\sstyle\s*=\s*"', text)


def poisoned(schema: dict) -> object:
    """A config of this schema with the attack in every text field."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema["type"]:
        case "object":
            return {
                key: poisoned(inner)
                for key, inner in schema["properties"].items()
                if not inner.get("x-item-id")
            }
        case "array":
            count = max(schema.get("minItems", 1), 1)
            return [poisoned(schema["items"]) for _number in range(count)]
        case "boolean":
            return True
        case "integer" | "number":
            return max(schema.get("minimum", 1), 1)
    return next(_attacks) if "pattern" not in schema else EVIL


_attacks = (f"{number}{EVIL}" for number in range(100_000))


def harmless_addresses(value):
    """The config with valid URLs: their patterns refuse an attack."""
    if isinstance(value, dict):
        return {key: harmless_addresses(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [harmless_addresses(inner) for inner in value]
    return "https://example.org/a" if value == EVIL else value


def completed(name: str, config: dict) -> dict:
    """The config, changed to satisfy the rules between its fields."""
    match name:
        case "Text":
            config["format"] = "html"
        case "SentenceBuilder":
            for sentence in config["sentences"]:
                sentence["answer"] = sentence["tokens"]
                sentence["also_accepted"] = [sentence["tokens"]]
        case "FillIn":
            for gap in (g for q in config["questions"] for g in q["gaps"]):
                del gap["tolerance"]
        case "Video":
            for track in config["captions"]:
                track["language"] = "en"
                del track["url"]
                track["cues"][0]["end"] = 2
        case "Interactive":
            del config["url"], config["completion"]["seconds"]
    return config


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_an_attack_in_any_field_of_any_type_is_text_or_gone(browser, name):
    config = completed(name, harmless_addresses(poisoned(SCHEMAS[name])))
    answer = type_live(browser, {"type": name, "title": EVIL, "config": config}).json()
    assert answer["faults"] == [[]]
    (stage,) = answer["document"]["stages"]
    assert_no_attack_in_html(SCHEMAS[name], stage["config"])

    lesson = make_branch("Evil", lessons=1).lessons[0]
    make_stage(lesson, type=name, title=EVIL, config=config)
    Node.objects.filter(pk=lesson.pk).update(title=EVIL, description=EVIL)
    page = browser.get(app("lesson", lesson))
    assert "<script>alert" not in page.content.decode()
    assert "<img src=x" not in page.content.decode()
    assert document_on(page)["stages"][0]["title"] == EVIL


def assert_no_attack_in_html(schema, value):
    if isinstance(value, list):
        for element in value:
            assert_no_attack_in_html(schema["items"], element)
    elif isinstance(value, dict):
        for key, inner in value.items():
            assert_no_attack_in_html(schema["properties"].get(key, {}), inner)
    elif schema.get("contentMediaType") == "text/html":
        assert "onerror" not in value
        assert "<script" not in value


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_an_attack_in_an_address_is_refused(browser, name):
    config = poisoned(SCHEMAS[name])
    if harmless_addresses(config) == config:
        return  # a type without addresses
    answer = type_live(browser, {"type": name, "title": "S", "config": config}).json()
    assert answer["faults"][0]
    assert answer["document"]["stages"][0]["unfinished"] is True


def test_an_attack_in_names_is_text(browser, branch, plan):
    for node in (branch.subject, branch.track, branch.unit, branch.topic):
        Node.objects.filter(pk=node.pk).update(title=EVIL, description=EVIL)
    AcademicPlan.objects.filter(pk=plan.pk).update(title=EVIL)
    for name in PAGES:
        page = browser.get(address(name, branch, plan)).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page


def test_a_published_file_from_before_a_rule_is_sanitised_again(
    browser, branch, plan, settings
):
    builds.publish_plan(plan.pk)
    file = settings.CONTENT_ROOT / "lessons" / f"{branch.lessons[0].public_id}.json"
    document = json.loads(file.read_text())
    document["stages"][0]["config"] = {"format": "html", "body": f"<b>ok</b>{EVIL}"}
    file.write_text(json.dumps(document))
    page = browser.get(app("lesson", branch.lessons[0], state="published"))
    body = document_on(page)["stages"][0]["config"]["body"]
    assert "<b>ok</b>" in body
    assert "onerror" not in body


# --- Live preview --------------------------------------------------------------------


def test_typing_answers_the_document_and_what_is_wrong_where(browser):
    good = {
        "type": "Text",
        "title": "A",
        "config": {"format": "html", "body": "<b>x</b>"},
    }
    bad = {"type": "Quiz", "title": "B", "config": {"questions": [{"prompt": "?"}]}}
    answer = type_live(browser, good, bad, title="درس").json()
    first, second = answer["document"]["stages"]
    assert (first["idx"], first["config"]["body"]) == (1, "<b>x</b>")
    assert (second["idx"], second["unfinished"]) == (2, True)
    assert answer["faults"] == [[], [[["questions", 0, "options"], "is missing"]]]
    assert answer["direction"] == "rtl"
    assert not LessonStage.objects.exists()


def test_typing_answers_what_would_not_be_kept(browser):
    config = {"format": "html", "body": "<p>a <video></video></p>"}
    answer = type_live(browser, {"type": "Text", "title": "A", "config": config})
    assert answer.json()["faults"] == [[]]
    what = "not supported, so it is removed: 1 element (\u2068<video>\u2069)"
    assert answer.json()["losses"] == [[[["body"], what]]]


def test_typing_answers_that_a_lesson_is_too_large_to_be_saved(browser):
    config = {"format": "markdown", "body": "a" * 200_000}
    stage = {"type": "Text", "title": "A", "config": config}
    assert type_live(browser, *[stage] * 4).json()["size_fault"] == ""
    response_data = type_live(browser, *[stage] * 6).json()["size_fault"]
    assert "at most 1000 KB" in response_data


def test_typing_answers_that_two_stages_have_one_item(browser):
    unfinished = {"type": "Quiz", "title": "A", "config": {"questions": []}}
    stages = [
        {"type": "Quiz", "title": title, "config": quiz(*items)}
        for title, items in (("B", ["X"]), ("C", ["Y", "X"]))
    ]
    answer = type_live(browser, unfinished, *stages).json()
    none, (path, why) = answer["faults"][1], answer["faults"][2][0]
    assert (none, path) == ([], ["questions", 1, "id"])
    assert "“B” and “C”" in why


def test_a_preview_shows_a_video_s_page_in_its_player(browser):
    config = {"source": "https://youtu.be/dQw4w9WgXcQ"}
    answer = type_live(browser, {"type": "Video", "title": "A", "config": config})
    (stage,) = answer.json()["document"]["stages"]
    assert stage["config"]["player_url"] == (
        "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ"
    )


def test_typing_keeps_the_saved_lessons_picture_and_id(browser, branch):
    lesson = branch.lessons[0]
    Node.objects.filter(pk=lesson.pk).update(image="images/a.png")
    document = type_live(browser, lesson=lesson.pk).json()["document"]
    assert document["id"] == lesson.public_id
    assert document["image"].endswith("/media/images/a.png")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"stages": 1}',
        b'{"stages": [1]}',
        b"\xff",
        json.dumps({"stages": [{}] * 501}).encode(),
        b'{"stages": [], "title": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"stages": [{"type": ' + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"}]}",
        b'{"stages": [], "title": "' + b"a" * 2_000_001 + b'"}',
    ],
)
def test_what_is_not_understood_is_refused_in_words(browser, body):
    url = reverse("admin:preview_live")
    answer = browser.post(url, body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize("stage", [{}, {"type": "None"}, {"type": "Text", "config": 3}])
def test_a_stage_that_is_nothing_yet_is_unfinished(browser, stage):
    answer = type_live(browser, stage, lesson="x").json()
    assert answer["document"]["stages"][0]["unfinished"] is True
    assert answer["faults"][0]


def test_typing_needs_the_forms_token(branch):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.create_superuser("r@example.com", "root-pass-1"))
    assert type_live(browser).status_code == 403


# --- Uploads -------------------------------------------------------------------------


def status_of(browser, url) -> int:
    """The status of the answer; its file is closed, as a server does."""
    answer = browser.get(url)
    answer.close()
    return answer.status_code


def picture(kind: str = "PNG", size: int = 4) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size)).save(buffer, kind)
    return buffer.getvalue()


def upload(browser, name, content, what="image"):
    file = SimpleUploadedFile(name, content)
    return browser.post(reverse(f"admin:upload_{what}"), {"file": file})


def test_a_picture_is_kept_under_a_name_nobody_chose(browser):
    answer = upload(browser, "../../evil.html", picture())
    url = answer.json()["url"]
    assert re.fullmatch(r"/media/images/stages/\w{20}\.png", url)
    assert default_storage.exists(url.removeprefix("/media/"))
    assert status_of(Client(), url) == 200  # apps read uploads without signing in


def choices(browser, **query) -> list:
    answer = browser.get(reverse("admin:recent_media"), {"kind": "picture", **query})
    return answer.json()["files"]


def test_the_pictures_kept_last_can_be_chosen_again(
    browser, browser_of, settings, tmp_path, monkeypatch
):
    settings.MEDIA_ROOT = tmp_path
    assert choices(browser) == []
    monkeypatch.setattr(upload_views, "MAX_RECENT", 2)
    kept = []
    for minute in range(3):
        with time_machine.travel(datetime(2026, 11, 20, 12, minute, tzinfo=UTC)):
            url = upload(browser, "a.png", picture(size=minute + 1)).json()["url"]
            kept.append(url)
    assert [file["address"] for file in choices(browser)] == [kept[2], kept[1]]
    recent = reverse("admin:recent_media")
    assert browser_of(roles.PUBLISHERS).get(recent).status_code == 403


def test_a_picture_is_found_by_its_name_and_comes_with_its_description(browser):
    upload(browser, "a.png", picture(size=1))
    upload(browser, "خليّة.png", picture(size=2))
    MediaFile.objects.filter(name="a.png").update(alt="A leaf")
    (found,) = choices(browser, q="خلية")
    assert found["name"] == "خليّة.png"
    (found,) = choices(browser, q="LEAF")
    assert (found["alt"], found["captions"]) == ("A leaf", [])
    assert choices(browser, kind="video") == []


def test_equal_pictures_are_stored_once(browser):
    urls = {upload(browser, name, picture()).json()["url"] for name in ("a.png", "b")}
    assert len(urls) == 1
    assert MediaFile.objects.get().name == "a.png"


@pytest.mark.parametrize(
    "content",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<html><script>alert(1)</script>",
        b"",
        picture("BMP"),
    ],
)
def test_what_is_no_picture_is_refused(browser, content):
    answer = upload(browser, "a.png", content)
    assert answer.status_code == 400
    assert "JPEG, PNG" in answer.json()["error"]
    assert upload(browser, "a.png", picture()).status_code == 200


def test_a_picture_too_large_is_refused(browser, settings):
    settings.PICTURE_MAX_BYTES = 10
    answer = upload(browser, "a.png", picture())
    assert answer.status_code == 400
    assert "larger" in answer.json()["error"]


def test_a_video_goes_to_the_private_folder_and_is_watched_signed(
    browser, settings, tmp_path
):
    settings.VIDEO_ROOT = tmp_path / "videos"
    answer = upload(
        browser, "Intro.mp4", b"\x00\x00\x00\x18ftypmp42" + bytes(64), "video"
    )
    source = answer.json()["source"]
    assert (settings.VIDEO_ROOT / source).is_file()
    watched = browser.get(reverse("admin:watch_video"), {"source": source})
    assert watched.status_code == 302
    assert urlsplit(watched.url).path == f"/files/videos/{source}"
    address_here = urlsplit(watched.url)._replace(netloc="", scheme="").geturl()
    assert status_of(browser, address_here) == 200


@pytest.mark.parametrize("content", [b"<html>", b""])
def test_what_is_no_video_is_refused(browser, content):
    answer = upload(browser, "a.mp4", content, "video")
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "source", ["../db.sqlite3", "a/../../b", "https://x.org/a.mp4"]
)
def test_only_paths_below_the_private_folder_are_signed(browser, source):
    watched = browser.get(reverse("admin:watch_video"), {"source": source})
    assert watched.status_code == 403


@pytest.mark.parametrize("name", ["upload_image", "upload_video"])
def test_an_upload_without_a_file_says_so(browser, name):
    answer = browser.post(reverse(f"admin:{name}"))
    assert answer.status_code == 400
    assert answer.json()["error"] == "Choose a file."


def test_text_has_the_direction_of_its_first_letter():
    assert preview_parts.direction_of("12 — عربي abc") == "rtl"
    assert preview_parts.direction_of("(a) عربي") == "ltr"
    assert preview_parts.direction_of("123") == "ltr"


# --- Earlier versions -----------------------------------------------------------------


@pytest.fixture
def changed_lesson(branch):
    """A lesson that was renamed, with another stage, and the state before it."""
    lesson = branch.lessons[0]
    before = f"earlier-{datetime.now(UTC).isoformat()}"
    lesson.title = "Renamed"
    lesson.save(update_fields=["title"])
    LessonStage.objects.filter(lesson=lesson).update(title="Second thoughts")
    return lesson, before


def test_a_lesson_is_previewed_as_it_was(browser, changed_lesson):
    lesson, before = changed_lesson
    page = browser.get(app("lesson", lesson), {"state": before})
    document = document_on(page)
    assert document["title"] == "Lesson 1"
    assert [stage["title"] for stage in document["stages"]] == ["First step"]
    assert "Renamed" not in page.content.decode()


def test_only_the_lesson_is_shown_as_it_was(browser, changed_lesson):
    lesson, before = changed_lesson
    page = browser.get(app("lesson", lesson), {"state": before}).content.decode()
    assert "state=draft" in page
    assert "state=earlier" not in page


def test_the_choices_name_the_time_of_the_version(browser, changed_lesson):
    lesson, before = changed_lesson
    url = reverse("admin:preview_lesson", args=[lesson.public_id])
    page = browser.get(url, {"state": before}).content.decode()
    assert "The version of " in page


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("earlier-2020-01-01T00:00:00+00:00", "no version of this lesson at that time"),
        ("earlier-yesterday", "Second thoughts"),
        ("2999-01-01T00:00:00+00:00", "Second thoughts"),
    ],
)
def test_a_time_without_a_version_is_explained(browser, changed_lesson, state, shown):
    lesson, _before = changed_lesson
    assert (
        shown in browser.get(app("lesson", lesson), {"state": state}).content.decode()
    )


def test_an_earlier_version_needs_the_right_of_the_preview(browser_of, changed_lesson):
    lesson, before = changed_lesson
    browser = browser_of(roles.SUPPORT)
    assert browser.get(app("lesson", lesson), {"state": before}).status_code == 403


# --- Kept generations -----------------------------------------------------------------


@pytest.fixture
def two_generations(plan):
    """Generation 1 has the title "Physics", generation 2 "Motion"."""
    builds.publish_plan(plan.pk)
    set_override(plan=plan, target=plan.subjects.get(), action="rename", value="Motion")
    builds.publish_plan(plan.pk)
    return plan


def test_a_kept_generation_is_previewed(browser_of, two_generations):
    browser = browser_of(roles.PUBLISHERS)
    inside = reverse("admin:app_plan", args=[two_generations.public_id])
    page = browser.get(inside, {"state": "generation-1"}).content.decode()
    assert "Physics" in page
    assert "Motion" not in page
    assert "state=generation-1" in page, "its links stay in the generation"
    assert "Motion" in browser.get(inside, {"state": "published"}).content.decode()


def test_the_page_of_generations_links_to_their_previews(browser_of, two_generations):
    browser = browser_of(roles.PUBLISHERS)
    url = reverse("admin:publishing_generations", args=[two_generations.pk])
    link = reverse("admin:preview_plan", args=[two_generations.public_id])
    assert f"{link}?state=generation-1" in browser.get(url).content.decode()
    shell = browser.get(link, {"state": "generation-1"}).content.decode()
    assert "Generation 1, with the current lessons" in shell


def test_a_generation_that_is_not_kept_is_missing(browser_of, two_generations):
    browser = browser_of(roles.PUBLISHERS)
    inside = reverse("admin:app_plan", args=[two_generations.public_id])
    page = browser.get(inside, {"state": "generation-7"})
    assert "not published" in page.content.decode()


def test_generations_are_for_who_may_view_releases(browser, two_generations):
    for name in ("app_plan", "preview_plan"):
        url = reverse(f"admin:{name}", args=[two_generations.public_id])
        assert browser.get(url, {"state": "generation-1"}).status_code == 403
