"""A lesson's page: its stages, what is wrong in them, its buttons, and what it says."""

import json
import re

import pytest
from django.urls import reverse

from content import services
from content.models import LessonStage, Node
from content.stage_types import SCHEMAS
from plans.services import add_subject
from publishing.building import builds
from tests.factories.content import make_stage

from .conftest import TEXT, messages_of
from .test_content_forms import change_url, errors_of, stages

pytestmark = pytest.mark.django_db

ADD = reverse("admin:content_node_add")
QUIZ = {
    "questions": [
        {
            "prompt": "<p>2 + 2?</p>",
            "options": [{"text": "4", "correct": True}, {"text": "5"}],
        }
    ]
}


def post(browser, lesson, rows=(), initial=0, **fields):
    data = {"title": lesson.title, "base_xp": 10, "is_published": "on"}
    return browser.post(
        change_url(lesson), {**data, **stages(rows, initial), **fields}, follow=True
    )


def settings_on(page) -> dict:
    """What the page tells its stage editor."""
    found = re.search(
        r'<script id="stage-editor" type="application/json">(.*?)</script>',
        page.content.decode(),
        re.DOTALL,
    )
    return json.loads(found[1])


def faults_on(page) -> list:
    """The faults of each card, as its script reads them."""
    formsets = page.context["inline_admin_formsets"]
    return [form.config_faults for formset in formsets for form in formset.formset]


def test_the_editor_is_told_every_type_in_the_readers_language(browser, maths):
    browser.cookies["django_language"] = "ar"
    told = settings_on(browser.get(change_url(maths["lesson"])))
    assert told["types"].keys() == SCHEMAS.keys()
    assert told["types"]["Quiz"]["title"] == "اختبار"
    assert told["lesson"] == maths["lesson"].pk
    assert told["urls"]["live"] == reverse("admin:preview_live")


def test_every_type_is_offered_with_a_line_and_a_picture(browser, maths):
    page = browser.get(change_url(maths["lesson"])).content.decode()
    for name, schema in SCHEMAS.items():
        assert f'data-type="{name}"' in page
        assert schema["description"] in page
    assert page.count('class="stage-icon"') == len(SCHEMAS)


def test_without_a_script_the_json_is_there_and_empty_stages_can_be_asked_for(
    browser, maths, stage
):
    page = browser.get(change_url(maths["lesson"]), {"stages": "2"})
    text = page.content.decode()
    assert 'name="stages-0-config"' in text
    assert "&quot;format&quot;: &quot;markdown&quot;" in text
    assert 'name="stages-2-config"' in text
    assert 'name="stages-3-config"' not in text


@pytest.mark.parametrize("asked", ["x", "-1", "9" * 30, "1.5"])
def test_a_strange_number_of_stages_is_ignored(browser, maths, asked):
    page = browser.get(change_url(maths["lesson"]), {"stages": asked})
    assert 'name="stages-0-config"' not in page.content.decode()


def test_what_is_wrong_is_said_at_its_place_inside_the_stage(browser, maths):
    wrong = json.loads(json.dumps(QUIZ))
    wrong["questions"][0]["options"][1]["text"] = ""
    page = post(
        browser, maths["lesson"], [{"type": "Quiz", "config": json.dumps(wrong)}]
    )
    (faults,) = faults_on(page)
    assert faults == [(("questions", 0, "options", 1, "text"), "must not be empty")]
    assert "has-faults" in page.content.decode()
    assert "config.questions[0].options[1].text" in errors_of(page)["config"][0]


def test_a_text_that_is_no_json_has_no_places(browser, maths):
    page = post(browser, maths["lesson"], [{"config": "{"}])
    assert faults_on(page) == [[]]


def test_a_refused_stage_is_shown_again_as_it_was_typed(browser, maths):
    typed = '{"format": "html", "body": "</textarea><script>alert(1)</script>", "x": 1}'
    page = post(browser, maths["lesson"], [{"config": typed}]).content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_html_is_sanitised_on_saving(browser, maths):
    config = {"format": "html", "body": '<p onclick="x()">a<script>b()</script></p>'}
    post(browser, maths["lesson"], [{"config": json.dumps(config)}])
    saved = LessonStage.objects.get()
    assert saved.config["body"] == "<p>a</p>"


# --- Two editors ---------------------------------------------------------------------


def seen_on(page) -> str:
    return page.context["adminform"].form.initial["seen"]


def test_the_second_of_two_editors_is_told(browser, maths, stage):
    lesson = maths["lesson"]
    seen = seen_on(browser.get(change_url(lesson)))
    row = {"id": stage.pk, "lesson": lesson.pk, "title": "Theirs"}
    post(browser, lesson, [row], 1, seen=seen)

    page = post(browser, lesson, [{**row, "title": "Mine"}], 1, seen=seen)

    assert any("Somebody else saved" in text for text in errors_of(page)["__all__"])
    assert "Somebody else saved" in page.content.decode()
    stage.refresh_from_db()
    assert stage.title == "Theirs"


def test_who_opened_the_page_after_the_last_change_saves(browser, maths):
    lesson = maths["lesson"]
    for title in ("One", "Two"):
        seen = seen_on(browser.get(change_url(lesson)))
        post(browser, lesson, seen=seen, title=title)
        assert Node.objects.get(pk=lesson.pk).title == title


# --- Buttons -------------------------------------------------------------------------


def test_save_stays_on_the_lesson(browser, maths):
    page = post(browser, maths["lesson"], _continue="1")
    assert page.redirect_chain == [(change_url(maths["lesson"]), 302)]


def test_save_and_preview_leads_to_the_preview(browser, maths, plan):
    lesson = maths["lesson"]
    page = post(browser, lesson, _preview="1")
    assert page.redirect_chain[-1][0] == reverse(
        "admin:preview_lesson", args=[lesson.public_id]
    )
    assert page.status_code == 200


@pytest.mark.parametrize("existing", [True, False])
def test_save_and_add_another_adds_to_the_same_topic(browser, maths, existing):
    topic = maths["topic"]
    target = change_url(maths["lesson"]) if existing else f"{ADD}?parent={topic.pk}"
    data = {"title": "L", "base_xp": 10, "_addanother": "1", **stages()}
    page = browser.post(target, data, follow=True)
    assert page.redirect_chain[-1][0] == f"{ADD}?parent={topic.pk}"
    assert messages_of(page)
    assert "New lesson" in page.content.decode()


def test_a_reader_sees_the_stages_and_no_buttons(client_of, publisher, maths, stage):
    page = client_of(publisher).get(change_url(maths["lesson"])).content.decode()
    assert "Intro" in page
    assert 'name="_continue"' not in page
    assert 'class="add-stage"' not in page


# --- What it says of plans -----------------------------------------------------------


def test_a_lesson_says_that_no_plan_has_it(browser, maths):
    page = browser.get(change_url(maths["lesson"])).content.decode()
    assert "No plan has this subject yet" in page


def test_a_lesson_says_what_its_plans_have_of_it(browser, maths, plan, stage):
    url = change_url(maths["lesson"])
    page = browser.get(url).content.decode()
    assert "Grade 12" in page
    assert "Waits to be published" in page

    builds.publish_plan(plan.pk)
    assert "badge-done" in browser.get(url).content.decode()

    stage.title = "Changed"
    stage.save()
    assert "Waits to be published" in browser.get(url).content.decode()

    other = LessonStage.objects.create(
        lesson=maths["lessons"][1], position=1, type="Text", title="S", config=TEXT
    )
    builds.publish_plan(plan.pk)
    other.title = "Another lesson's"
    other.save()
    assert "Changes around it wait" in browser.get(url).content.decode()


def test_a_published_lesson_that_came_from_another_subject_does_not_wait(
    browser, maths, physics, plan, stage
):
    add_subject(plan=plan, subject=physics["subject"])
    for number in range(30):
        LessonStage.objects.filter(pk=stage.pk).update(weight=number)
    builds.publish_plan(plan.pk)
    services.move_node(
        node=maths["lesson"], target=physics["topic"], position="last-child"
    )
    builds.publish_plan(plan.pk)
    make_stage(physics["lesson"])
    page = browser.get(change_url(maths["lesson"])).content.decode()
    assert "Changes around it wait" in page


def test_a_hidden_lesson_is_said_not_to_be_shown(browser, maths, plan):
    builds.publish_plan(plan.pk)
    lesson = maths["lesson"]
    Node.objects.filter(pk=lesson.pk).update(is_published=False)
    builds.publish_plan(plan.pk)
    assert "Not shown" in browser.get(change_url(lesson)).content.decode()


def test_a_lesson_of_very_many_stages_is_saved(browser, maths):
    rows = [{"title": f"Part {number}"} for number in range(170)]
    page = post(browser, maths["lesson"], rows)  # 1,020 fields of stages alone
    assert page.status_code == 200
    assert maths["lesson"].stages.count() == 170


def test_the_most_fields_that_are_taken_are_those_of_500_stages(
    browser, maths, settings
):
    page = browser.get(change_url(maths["lesson"]))
    (formset,) = [one.formset for one in page.context["inline_admin_formsets"]]
    around = {**page.context["adminform"].form.fields, **formset.management_form.fields}
    sent = 500 * len(formset.empty_form.fields) + len(around) + 10  # buttons, the token
    assert sent <= settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
