"""A lesson's page: its stages, their faults, its buttons, and the plans it names."""

import json
import re

import pytest
from django.urls import reverse

from content.curriculum import export_curriculum, import_curriculum
from content.forms import ReadableJSONField
from content.losses import fingerprint
from content.models import LessonStage, Node
from content.stage_configs import byte_size, reviewable_items
from content.stage_types import SCHEMAS
from plans.services import add_subject
from publishing.building import builds
from tests.admin_fixtures import TEXT, messages_of
from tests.content.admin.test_forms import change_url, errors_of, stages
from tests.factories.content import make_stage, move_node, quiz

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
    """The settings that the page passes to its stage editor."""
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
    settings = settings_on(browser.get(change_url(maths["lesson"])))
    assert settings["types"].keys() == SCHEMAS.keys()
    assert settings["types"]["Quiz"]["title"] == "اختبار"
    assert settings["lesson"] == maths["lesson"].pk
    assert settings["urls"]["live"] == reverse("admin:preview_live")


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
    assert (
        "Questions 1 › Options 2 › Answer: must not be empty" in page.content.decode()
    )


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
    rows = [{"config": json.dumps(config)}]
    losses = losses_of(post(browser, maths["lesson"], rows))
    post(browser, maths["lesson"], rows, accept_losses=fingerprint(losses))
    saved = LessonStage.objects.get()
    assert saved.config["body"] == "<p>a</p>"


LOSING = {
    "config": json.dumps({"format": "html", "body": "<p>x<y <video>2</video></p>"})
}


def losses_of(page):
    return page.context["inline_admin_formsets"][0].formset.unaccepted_losses


def test_a_loss_is_said_and_saves_nothing_before_it_is_accepted(browser, maths):
    page = post(browser, maths["lesson"], [LOSING])
    assert not LessonStage.objects.exists()
    (lost,) = losses_of(page)
    assert lost.summary == "1 element (\u2068<video>\u2069)"
    content = page.content.decode()
    assert "<b>Intro</b></bdi>: 1 element" in content
    assert "&lt;video&gt;2&lt;/video&gt;" in content  # the text as it was typed
    accepted = {"accept_losses": fingerprint([lost])}
    assert f'value="{accepted["accept_losses"]}"' in content
    post(browser, maths["lesson"], [LOSING], **accepted)
    assert LessonStage.objects.get().config["body"] == "<p>x&lt;y 2</p>"


def test_an_accepted_loss_accepts_no_other_loss(browser, maths):
    (lost,) = losses_of(post(browser, maths["lesson"], [LOSING]))
    accepted = {"accept_losses": fingerprint([lost])}
    post(browser, maths["lesson"], [LOSING, LOSING], **accepted)
    assert not LessonStage.objects.exists()


def test_a_stored_stage_is_saved_without_a_question(browser, maths):
    config = {"format": "html", "body": "<p>x</p>"}
    lesson = maths["lesson"]
    post(browser, lesson, [{"config": json.dumps(config)}])
    row = {"id": LessonStage.objects.get().pk, "lesson": lesson.pk, "title": "Other"}
    post(browser, lesson, [row | {"config": json.dumps(config)}], 1)
    assert LessonStage.objects.get().title == "Other"


@pytest.mark.parametrize("levels", [33, 300, 900, 5_000])
def test_json_that_nests_too_deeply_is_an_error_at_its_field(browser, maths, levels):
    config = '{"format": "html", "body": ' + "[" * levels + "]" * levels + "}"
    page = post(browser, maths["lesson"], [{"config": config}])
    assert page.status_code == 200
    assert "nested too deeply" in errors_of(page)["config"][0]


def test_deep_html_is_an_error_at_its_field(browser, maths):
    config = {"format": "html", "body": "<div>" * 40_000}
    page = post(browser, maths["lesson"], [{"config": json.dumps(config)}])
    assert faults_on(page) == [[(("body",), "has more than 10000 HTML elements")]]


# --- Items ---------------------------------------------------------------------------


def quiz_row(*item_ids: str, title: str, **fields) -> dict:
    config = json.dumps(quiz(*item_ids))
    return {"type": "Quiz", "title": title, "config": config, **fields}


def test_two_stages_with_one_item_are_refused_and_named(browser, maths):
    lesson = maths["lesson"]
    rows = [quiz_row("A", title="First"), quiz_row("B", "A", title="Second")]
    page = post(browser, lesson, rows)
    (formset,) = page.context["inline_admin_formsets"]
    (said,) = formset.formset.non_form_errors()
    assert "item A is in two stages" in said
    for name in (lesson.title, "First", "Second"):
        assert f"“{name}”" in said
    assert not LessonStage.objects.exists()


def test_an_item_moves_from_one_stage_to_another_in_one_save(browser, maths):
    lesson = maths["lesson"]
    first = make_stage(lesson, type="Quiz", config=quiz("A", "B"))
    second = make_stage(lesson, type="Quiz", config=quiz("C"))
    own = {"lesson": lesson.pk}
    for first_items, second_items in ((["B"], ["C", "A"]), (["B", "A"], ["C"])):
        rows = [
            quiz_row(*first_items, title="First", id=first.pk, **own),
            quiz_row(*second_items, title="Second", id=second.pk, **own),
        ]
        post(browser, lesson, rows, initial=2)
        second.refresh_from_db()
        assert reviewable_items("Quiz", second.config) == second_items


def test_a_removed_stage_leaves_its_items_to_another(browser, maths):
    lesson = maths["lesson"]
    first = make_stage(lesson, type="Quiz", config=quiz("A"))
    old = quiz_row("A", title="First", id=first.pk, lesson=lesson.pk, DELETE="on")
    post(browser, lesson, [old, quiz_row("A", title="Second")], initial=1)
    assert [stage.title for stage in LessonStage.objects.all()] == ["Second"]


# --- Large lessons -------------------------------------------------------------------


def a_large_stage(letter: str) -> dict:
    """A stage whose indented JSON, as the page posts it, is four times as long."""
    words = [letter] * 40
    sentence = {"tokens": words, "answer": words, "also_accepted": [words] * 10}
    return {"sentences": [sentence] * 50}


def test_the_largest_lesson_that_is_imported_can_be_saved_on_its_page(browser, maths):
    lesson = maths["lesson"]
    made = []
    while sum(byte_size(stage.config) for stage in made) < 850_000:
        made.append(
            make_stage(
                lesson,
                type="SentenceBuilder",
                config=a_large_stage("a"),
                position=len(made) + 1,
            )
        )
    file = json.loads(export_curriculum(maths["subject"].public_id))
    topic = file["subject"]["tracks"][0]["units"][0]["topics"][0]
    topic["lessons"][0]["stages"][0]["title"] = "Imported"
    import_curriculum(json.dumps(file).encode())

    def row(stage, title: str) -> dict:
        # Browsers post line ends as CRLF.
        shown = ReadableJSONField().prepare_value(stage.config)
        sent = shown.replace("\n", "\r\n")
        own = {"id": stage.pk, "lesson": lesson.pk, "type": stage.type}
        return {**own, "title": title, "config": sent}

    rows = [row(stage, "Saved") for stage in made]
    assert sum(len(row["config"].encode()) for row in rows) > 3_500_000
    page = post(browser, lesson, rows, len(rows), _continue="1")
    assert page.status_code == 200
    titles = set(lesson.stages.values_list("title", flat=True))
    assert titles == {"Saved"}


def test_a_lesson_that_is_too_large_is_refused_in_words(browser, maths):
    config = json.dumps({"format": "markdown", "body": "a" * 199_000})
    page = post(browser, maths["lesson"], [{"config": config}] * 6)
    (formset,) = page.context["inline_admin_formsets"]
    assert formset.formset.non_form_errors() == [
        "This lesson cannot be saved: its stages have 1195 KB in total, but a lesson "
        "can have at most 1000 KB: divide it into several lessons."
    ]
    assert not LessonStage.objects.exists()
    page = post(browser, maths["lesson"], [{"config": config}] * 5)
    assert LessonStage.objects.count() == 5


def test_a_lesson_that_was_too_large_before_may_be_made_smaller(browser, maths):
    lesson = maths["lesson"]
    config = {"format": "markdown", "body": "a" * 199_000}
    made = [make_stage(lesson, config=config, position=n) for n in range(1, 8)]
    rows = [
        {"id": stage.pk, "lesson": lesson.pk, "config": json.dumps(config)}
        for stage in made
    ]
    rows[0]["DELETE"] = "on"
    post(browser, lesson, rows, len(rows))
    assert lesson.stages.count() == 6


# --- Two editors ---------------------------------------------------------------------


def seen_on(page) -> str:
    return page.context["adminform"].form.initial["seen"]


def test_the_second_of_two_editors_is_told(browser, maths, stage):
    lesson = maths["lesson"]
    seen = seen_on(browser.get(change_url(lesson)))
    row = {"id": stage.pk, "lesson": lesson.pk, "title": "Theirs"}
    post(browser, lesson, [row], 1, seen=seen)

    page = post(browser, lesson, [{**row, "title": "Mine"}], 1, seen=seen)

    assert any("the same parts" in text for text in errors_of(page)["__all__"])
    assert "the same parts" in page.content.decode()
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


# --- Plans that offer the lesson -----------------------------------------------------


def test_a_lesson_says_that_no_plan_has_it(browser, maths):
    page = browser.get(change_url(maths["lesson"])).content.decode()
    assert "This subject is not in any plan yet" in page


def test_a_lesson_says_what_its_plans_have_of_it(browser, maths, plan, stage):
    url = change_url(maths["lesson"])
    page = browser.get(url).content.decode()
    assert "Grade 12" in page
    assert "Waiting to publish" in page

    builds.publish_plan(plan.pk)
    assert "badge-done" in browser.get(url).content.decode()

    stage.title = "Changed"
    stage.save()
    assert "Waiting to publish" in browser.get(url).content.decode()

    other = LessonStage.objects.create(
        lesson=maths["lessons"][1], position=1, type="Text", title="S", config=TEXT
    )
    builds.publish_plan(plan.pk)
    other.title = "Another lesson's"
    other.save()
    assert "Other changes waiting" in browser.get(url).content.decode()


def test_a_published_lesson_that_came_from_another_subject_does_not_wait(
    browser, maths, physics, plan, stage
):
    add_subject(plan=plan, subject=physics["subject"])
    for number in range(30):
        LessonStage.objects.filter(pk=stage.pk).update(weight=number)
    builds.publish_plan(plan.pk)
    move_node(node=maths["lesson"], target=physics["topic"], position="last-child")
    builds.publish_plan(plan.pk)
    make_stage(physics["lesson"])
    page = browser.get(change_url(maths["lesson"])).content.decode()
    assert "Other changes waiting" in page


def test_a_hidden_lesson_is_said_not_to_be_shown(browser, maths, plan):
    builds.publish_plan(plan.pk)
    lesson = maths["lesson"]
    Node.objects.filter(pk=lesson.pk).update(is_published=False)
    builds.publish_plan(plan.pk)
    assert "Not shown" in browser.get(change_url(lesson)).content.decode()


def test_a_lesson_of_very_many_stages_is_saved(browser, maths):
    rows = [{"title": f"Part {number}"} for number in range(170)]
    page = post(browser, maths["lesson"], rows)  # 1,020 stage fields
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


# --- Missing media ------------------------------------------------------------


def test_a_card_names_media_that_students_cannot_open(browser, maths, settings):
    lesson = maths["lesson"]
    body = '<p>a <img src="/media/images/none.png" alt=""></p>'
    make_stage(lesson, type="Text", config={"format": "html", "body": body})
    make_stage(lesson, type="Video", config={"source": "unit/none.mp4"})
    text = browser.get(change_url(lesson)).content.decode()
    assert "there is no file “images/none.png”" in text
    assert "there is no video “unit/none.mp4”" in text
    assert text.count("Missing media") == 2


def test_a_card_is_silent_about_media_that_are_there(browser, maths, settings):
    lesson = maths["lesson"]
    picture = settings.MEDIA_ROOT / "images" / "a.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"picture")
    body = '<p><img src="/media/images/a.png" alt=""> <img src="https://x.org/b"></p>'
    make_stage(lesson, type="Text", config={"format": "html", "body": body})
    text = browser.get(change_url(lesson)).content.decode()
    assert "Missing media" not in text
