"""Two editors save one lesson: the merge by fields and stages."""

import json

import pytest

from content.models import LessonStage, Node
from content.services import delete_node
from tests.content.admin.test_forms import change_url
from tests.content.drafts.test_drafts import send

pytestmark = pytest.mark.django_db


def body(text):
    return json.dumps({"format": "markdown", "body": text})


@pytest.fixture
def lesson(maths):
    lesson = maths["lesson"]
    for place, title in enumerate(["One", "Two", "Three"], start=1):
        config = {"format": "markdown", "body": f"text of {title}"}
        LessonStage.objects.create(
            lesson=lesson, position=place, type="Text", title=title, config=config
        )
    return lesson


def opened(browser, lesson):
    """The data of the lesson's page, as a browser would post it."""
    context = browser.get(change_url(lesson)).context
    [inline] = context["inline_admin_formsets"]
    forms = [context["adminform"].form, inline.formset.management_form]
    data = {}
    for form in [*forms, *inline.formset.forms]:
        for field in form:
            value = field.value()
            if value is True or (value not in (None, "", False) and value != []):
                data[field.html_name] = "on" if value is True else str(value)
    return data


def save(browser, lesson, data, **changes):
    return browser.post(change_url(lesson), {**data, **changes})


def titles(lesson):
    return [stage.title for stage in lesson.stages.order_by("position", "pk")]


def texts(lesson):
    return [stage.config["body"] for stage in lesson.stages.order_by("position", "pk")]


def test_stages_that_only_one_changed_are_taken_without_asking(browser, lesson):
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    save(browser, lesson, theirs, **{"stages-0-config": body("theirs")})
    answer = save(browser, lesson, mine, **{"stages-2-config": body("mine")})
    assert answer.status_code == 302
    assert texts(lesson) == ["theirs", "text of Two", "mine"]


def test_an_editor_is_told_what_was_taken_from_the_other(browser, lesson):
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    save(browser, lesson, theirs, **{"stages-0-title": "Renamed"})
    save(browser, lesson, mine, **{"stages-2-config": body("mine")})
    assert "“Renamed”" in browser.get(change_url(lesson)).content.decode()


def test_the_lessons_own_fields_are_merged(browser, lesson):
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    save(browser, lesson, theirs, description="theirs", is_free_preview="on")
    assert save(browser, lesson, mine, title="Mine").status_code == 302
    stored = Node.objects.get(pk=lesson.pk)
    assert [stored.title, stored.description] == ["Mine", "theirs"]
    assert stored.is_free_preview


def test_the_same_change_by_both_is_no_conflict(browser, lesson):
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    for data in (theirs, mine):
        assert save(browser, lesson, data, title="Same").status_code == 302


def test_the_same_stage_changed_by_both_saves_nothing_and_shows_both(browser, lesson):
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    save(browser, lesson, theirs, **{"stages-1-config": body("theirs")})
    refused = save(
        browser, lesson, mine, title="Mine", **{"stages-1-config": body("mine")}
    )
    page = refused.content.decode()
    assert "Choose a version" in page
    [conflict] = refused.context["conflicts"]
    [difference] = conflict.differences
    assert [difference.old, difference.new] == ["mine", "theirs"]
    assert texts(lesson)[1] == "theirs"
    assert Node.objects.get(pk=lesson.pk).title == lesson.title


def test_a_conflict_shows_the_visible_words_below_the_fields_label(browser, lesson):
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    text = "<p>The sum of the <b>angles</b> is {} degrees.</p>"
    for data, number in ((theirs, "200"), (mine, "180")):
        config = json.dumps({"format": "html", "body": text.format(number)})
        page = save(browser, lesson, data, **{"stages-1-config": config})
    [difference] = page.context["conflicts"][0].differences
    assert difference.path == ("Text",)
    shown = page.content.decode()
    assert '<del dir="auto">180 </del> <ins dir="auto">200 </ins>' in shown
    assert (
        "angles&lt;"
        not in shown.partition("lesson-conflicts")[2].partition("</section>")[0]
    )


@pytest.mark.parametrize("version", ["mine", "theirs"])
def test_the_chosen_version_of_a_stage_is_saved(browser, lesson, version):
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    save(browser, lesson, theirs, **{"stages-1-config": body("theirs")})
    changed = {"stages-1-config": body("mine"), "stages-0-title": "Also mine"}
    refused = save(browser, lesson, mine, **changed)
    [conflict] = refused.context["conflicts"]
    choice = {conflict.name: getattr(conflict, version)}
    answer = save(browser, lesson, mine, **changed, **choice)
    assert answer.status_code == 302
    assert texts(lesson)[1] == version
    assert titles(lesson)[0] == "Also mine"


def test_a_choice_does_not_count_for_a_version_that_the_editor_has_not_seen(
    browser, lesson
):
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    save(browser, lesson, theirs, **{"stages-1-config": body("theirs")})
    changed = {"stages-1-config": body("mine")}
    [conflict] = save(browser, lesson, mine, **changed).context["conflicts"]
    again = opened(browser, lesson)
    save(browser, lesson, again, **{"stages-1-config": body("newer")})
    refused = save(browser, lesson, mine, **changed, **{conflict.name: conflict.mine})
    assert len(refused.context["conflicts"]) == 1
    assert texts(lesson)[1] == "newer"


def test_the_same_field_changed_by_both_is_chosen(browser, lesson):
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    save(browser, lesson, theirs, title="Theirs")
    [conflict] = save(browser, lesson, mine, title="Mine").context["conflicts"]
    save(browser, lesson, mine, title="Mine", **{conflict.name: conflict.mine})
    assert Node.objects.get(pk=lesson.pk).title == "Mine"


def added(data, title, position):
    number = int(data["stages-TOTAL_FORMS"])
    return {
        "stages-TOTAL_FORMS": str(number + 1),
        f"stages-{number}-type": "Text",
        f"stages-{number}-title": title,
        f"stages-{number}-config": body(title),
        f"stages-{number}-weight": "1",
        f"stages-{number}-target_time": "60",
        f"stages-{number}-position": str(position),
    }


def test_stages_added_by_both_are_kept(browser, lesson):
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    save(browser, lesson, theirs, **added(theirs, "Theirs", 4))
    save(browser, lesson, mine, **added(mine, "Mine", 4))
    assert sorted(titles(lesson)) == ["Mine", "One", "Theirs", "Three", "Two"]


def test_a_stage_deleted_by_the_other_is_deleted(browser, lesson):
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    save(browser, lesson, theirs, **{"stages-0-DELETE": "on"})
    assert save(browser, lesson, mine, title="Mine").status_code == 302
    assert titles(lesson) == ["Two", "Three"]


def test_a_stage_deleted_by_the_other_and_changed_here_is_kept(browser, lesson):
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    save(browser, lesson, theirs, **{"stages-0-DELETE": "on"})
    save(browser, lesson, mine, **{"stages-0-config": body("mine")})
    assert texts(lesson) == ["mine", "text of Two", "text of Three"]


def test_a_stage_deleted_here_and_changed_by_the_other_is_kept(browser, lesson):
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    save(browser, lesson, theirs, **{"stages-0-config": body("theirs")})
    save(browser, lesson, mine, **{"stages-0-DELETE": "on"})
    assert texts(lesson) == ["theirs", "text of Two", "text of Three"]


def test_the_order_of_the_one_who_sorted_is_taken(browser, lesson):
    moved = {
        "stages-2-position": "1",
        "stages-0-position": "2",
        "stages-1-position": "3",
    }
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    save(browser, lesson, theirs, **moved)
    save(browser, lesson, mine, **{"stages-1-config": body("mine")})
    assert titles(lesson) == ["Three", "One", "Two"]

    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    save(browser, lesson, theirs, **{"stages-0-title": "Renamed"})
    save(browser, lesson, mine, **moved)
    assert sorted(titles(lesson)) == ["One", "Renamed", "Two"]
    assert titles(lesson) == ["Two", "Renamed", "One"]


def test_a_restored_draft_is_merged_with_what_was_saved_since(browser, lesson):
    mine, theirs = opened(browser, lesson), opened(browser, lesson)
    draft = {**mine, "stages-0-config": body("mine"), "stages-1-config": body("mine")}
    send(browser, lesson.pk, fields=list(draft.items()))
    # Saving deletes only the draft of the one who saves; this one is stored again.
    changed = {"stages-1-config": body("theirs"), "stages-2-config": body("theirs")}
    save(browser, lesson, theirs, **changed)
    send(browser, lesson.pk, fields=list(draft.items()))
    page = browser.get(change_url(lesson))
    [conflict] = page.context["conflicts"]
    data = opened(browser, lesson)
    assert json.loads(data["stages-2-config"])["body"] == "theirs"
    choice = {conflict.name: conflict.mine}
    assert save(browser, lesson, data, **choice).status_code == 302
    assert texts(lesson) == ["mine", "mine", "theirs"]


def test_a_form_of_a_deleted_lesson_is_refused(browser, lesson):
    mine = opened(browser, lesson)
    delete_node(node=lesson)
    assert save(browser, lesson, mine, title="Mine").status_code == 302
    assert not Node.objects.filter(title="Mine").exists()


def test_a_version_that_no_page_had_is_refused(browser, lesson):
    mine = opened(browser, lesson)
    for seen in ("nonsense", "[1]", '[["title","x"]]', "{}"):
        save(browser, lesson, mine, title="Mine", seen=seen)
    assert Node.objects.get(pk=lesson.pk).title == lesson.title
