"""The page that searches the text of stages, and the column that it reads."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection, models
from django.urls import reverse

from content import copying
from content.models import LessonStage
from tests.factories.content import make_stage, trash_node

pytestmark = pytest.mark.django_db

PAGE = reverse("admin:content_node_text")


def text(body):
    return {"format": "html", "body": body}


@pytest.fixture
def editors_browser(client_of, editor):
    return client_of(editor)


@pytest.fixture
def stage(maths):
    return make_stage(
        maths["lesson"],
        type="Text",
        title="The circle",
        config=text("<p>Its <b>circumference</b> is \\(2 \\pi r\\) in الْعَالَمِ.</p>"),
    )


def found(browser, **query):
    return [one.stage.pk for one in browser.get(PAGE, query).context["results"]]


def test_a_word_of_the_text_is_found_and_marked(editors_browser, stage):
    page = editors_browser.get(PAGE, {"q": "CIRCUMFERENCE"})
    assert "<mark>circumference</mark>" in page.content.decode()


def test_a_result_opens_the_card_of_its_stage(editors_browser, stage):
    page = editors_browser.get(PAGE, {"q": "circumference"})
    change = reverse("admin:content_node_change", args=[stage.lesson_id])
    assert f'href="{change}#{stage.public_id}"' in page.content.decode()
    lesson = editors_browser.get(change).content.decode()
    assert f'data-stage="{stage.public_id}"' in lesson


@pytest.mark.parametrize("query", ["circle", "العالم", "circle circumference"])
def test_titles_and_other_spellings_are_found(editors_browser, stage, query):
    assert found(editors_browser, q=query) == [stage.pk]


@pytest.mark.parametrize("query", ["pi", "<b>", "circle square", "%", "_"])
def test_formulas_tags_and_wildcards_are_not_words(editors_browser, stage, query):
    assert found(editors_browser, q=query) == []


def test_a_title_is_shown_without_its_tags(editors_browser, stage):
    stage.title = "The <b>circle</b>"
    stage.save()
    [one] = editors_browser.get(PAGE, {"q": "circle"}).context["results"]
    assert "".join(part.text for part in one.title) == "The circle"


def test_the_text_of_others_is_escaped(editors_browser, stage):
    stage.config = text("<p>circumference &lt;script&gt;</p>")
    stage.save()
    page = editors_browser.get(PAGE, {"q": "circumference"}).content.decode()
    assert "circumference</mark> &lt;script&gt;" in page


def test_filters_leave_the_stages_of_a_type_a_subject_and_a_plan(
    editors_browser, stage, physics, plan
):
    make_stage(physics["lesson"], title="Also circle")
    subject = stage.lesson.subject_id
    browser = editors_browser
    assert len(found(browser, q="circle")) == 2
    assert found(browser, q="circle", subject=subject) == [stage.pk]
    assert found(browser, q="circle", plan=plan.pk) == [stage.pk]
    assert found(browser, q="circle", type="Quiz") == []


def test_the_trash_is_not_searched(editors_browser, stage):
    trash_node(node=stage.lesson.parent)
    assert found(editors_browser, q="circle") == []


def test_a_page_of_results_costs_the_same_queries_for_any_number(
    editors_browser, stage, django_assert_num_queries
):
    for number in range(30):
        make_stage(stage.lesson, title=f"circle {number}")
    editors_browser.get(PAGE)
    # Session, user, two for permissions; the keys found, their stages and lessons;
    # subjects, plans.
    with django_assert_num_queries(9):
        page = editors_browser.get(PAGE, {"q": "circle"})
    assert (page.context["total"], len(page.context["results"])) == (31, 25)


def test_support_may_not_search(client_of, support):
    assert client_of(support).get(PAGE).status_code == 403


# --- The column ---


def folded(stage):
    return LessonStage.objects.values_list("text_folded", flat=True).get(pk=stage.pk)


def test_saving_some_fields_folds_them(stage):
    stage.title = "Kreis"
    stage.save(update_fields=["title"])
    assert folded(stage).startswith("kreis its circumference")


def test_an_update_of_many_folds_each_with_its_own_text(stage):
    LessonStage.objects.filter(pk=stage.pk).update(title="Kreis")
    assert folded(stage).startswith("kreis its circumference")


def test_a_bulk_update_folds(stage):
    stage.config = text("<p>new words</p>")
    LessonStage.objects.bulk_update([stage], ["config"])
    assert folded(stage) == "the circle new words"


def test_a_copy_is_found_too(editors_browser, stage):
    copying.copy_nodes(nodes=[stage.lesson], parent=None)
    assert len(found(editors_browser, q="circumference")) == 2


def test_the_migration_folds_stored_stages_in_batches(stage, django_assert_num_queries):
    expected = folded(stage)
    models.QuerySet(LessonStage).update(text_folded="")
    migration = import_module("content.migrations.0003_stage_texts")
    migration.fold_texts(apps, SimpleNamespace(connection=connection))
    assert folded(stage) == expected
