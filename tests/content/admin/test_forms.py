"""The pages of one node: add, change, and the stages of a lesson."""

import json

import pytest
from django.urls import reverse

from content import services
from content.models import LessonStage, Node
from content.stage_editor import type_choices
from tests.admin_fixtures import TEXT, messages_of

pytestmark = pytest.mark.django_db

ADD = reverse("admin:content_node_add")


def change_url(node):
    return reverse("admin:content_node_change", args=[node.pk])


def stages(rows=(), initial=0):
    """Build the posted stages; each row is a dict of its fields."""
    data = {
        "stages-TOTAL_FORMS": len(rows),
        "stages-INITIAL_FORMS": initial,
        "stages-MIN_NUM_FORMS": 0,
        "stages-MAX_NUM_FORMS": 1000,
    }
    for number, row in enumerate(rows):
        defaults = {
            "type": "Text",
            "title": "Intro",
            "config": json.dumps(TEXT),
            "target_time": 60,
            "weight": 1,
            "position": number + 1,
        }
        data |= {
            f"stages-{number}-{name}": value
            for name, value in {**defaults, **row}.items()
        }
    return data


def errors_of(response):
    """Return every error on the page, by field."""
    errors = dict(response.context["adminform"].form.errors)
    for formset in response.context["inline_admin_formsets"]:
        for row in formset.formset.errors:
            errors |= row
    return {name: list(texts) for name, texts in errors.items()}


@pytest.mark.parametrize(
    ("parent", "kind"),
    [(None, "subject"), ("subject", "track"), ("track", "unit"), ("unit", "topic")],
)
def test_a_new_node_is_of_the_kind_that_fits_its_parent(browser, maths, parent, kind):
    url = f"{ADD}?parent={maths[parent].pk}" if parent else ADD
    assert f"New {kind}" in browser.get(url).content.decode()
    browser.post(url, {"title": "Fresh", "base_xp": 10})
    made = Node.objects.get(title="Fresh")
    assert made.kind == kind
    assert made.parent_id == (maths[parent].pk if parent else None)


def test_a_new_lesson_comes_with_its_stages_and_a_bit(browser, maths):
    url = f"{ADD}?parent={maths['topic'].pk}"
    page = browser.post(
        url,
        {"title": "Fresh", "base_xp": 15, **stages([{}, {"title": "Again"}])},
        follow=True,
    )
    assert page.status_code == 200
    made = Node.objects.get(title="Fresh")
    assert (made.kind, made.bit_index, made.base_xp) == ("lesson", 2, 15)
    found = made.stages.values_list("title", "position")
    assert list(found) == [("Intro", 1), ("Again", 2)]


def test_the_kind_cannot_be_forced(browser, maths):
    url = f"{ADD}?parent={maths['track'].pk}"
    browser.post(
        url,
        {"title": "Fresh", "base_xp": 10, "kind": "lesson", "subject": 1, "parent": 1},
    )
    made = Node.objects.get(title="Fresh")
    assert (made.kind, made.parent_id) == ("unit", maths["track"].pk)


@pytest.mark.parametrize("parent", ["lesson", "987654", "x", "9" * 30])
def test_adding_where_nothing_goes_is_a_message(browser, maths, parent):
    asked = maths["lesson"].pk if parent == "lesson" else parent
    for answer in (
        browser.get(f"{ADD}?parent={asked}", follow=True),
        browser.post(f"{ADD}?parent={asked}", {"title": "Fresh"}, follow=True),
    ):
        assert answer.status_code == 200
        assert messages_of(answer)
    assert not Node.objects.filter(title="Fresh").exists()


@pytest.mark.parametrize(
    ("public_id", "why"),
    [
        ("manifest", "reserved"),
        ("../etc", "is not a valid id"),
        ("X_h", "reserved"),
        ("TAKEN-1", "already exists"),
    ],
)
def test_an_unfit_id_is_an_error_at_the_field(browser, maths, public_id, why):
    Node.objects.filter(pk=maths["unit"].pk).update(public_id="TAKEN-1")
    page = browser.post(ADD, {"title": "F", "base_xp": 10, "public_id": public_id})
    assert why in errors_of(page)["public_id"][0]


def test_a_chosen_id_is_kept_for_good(browser, maths):
    browser.post(ADD, {"title": "Chemistry", "base_xp": 10, "public_id": "SUBJ-chem"})
    made = Node.objects.get(public_id="SUBJ-chem")
    browser.post(
        change_url(made), {"title": "Chemistry 2", "base_xp": 10, "public_id": "OTHER"}
    )
    made = Node.objects.get(pk=made.pk)
    assert (made.title, made.public_id) == ("Chemistry 2", "SUBJ-chem")


def test_saving_a_page_writes_its_own_fields_only(browser, maths, monkeypatch):
    unit = maths["unit"]
    written = {}
    save = Node.save

    def spy(self, **kwargs):
        written.update(kwargs)
        save(self, **kwargs)

    monkeypatch.setattr(Node, "save", spy)
    browser.post(change_url(unit), {"title": "Renamed", "is_published": "on"})
    assert Node.objects.get(pk=unit.pk).title == "Renamed"
    assert set(written["update_fields"]) == {"title", "updated_at"}


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("{", "line 1, column 2"),
        ("NaN", "cannot be stored"),
        ('{"body": "\\ud800", "format": "html"}', "cannot be stored"),
        ("[" * 100_000, "cannot be stored"),
        ("[]", ""),
        ('{"format": "markdown"}', "Text: is missing"),
        (
            '{"format": "markdown", "body": "x", "extra": 1}',
            "extra: is not allowed here",
        ),
    ],
)
def test_a_stage_that_is_wrong_says_so_at_its_content(browser, maths, config, why):
    lesson = maths["lesson"]
    page = browser.post(
        change_url(lesson),
        {"title": "L", "base_xp": 10, **stages([{"config": config}])},
        follow=True,
    )
    assert page.status_code == 200
    assert any(why in text for text in errors_of(page)["config"]), errors_of(page)
    assert not LessonStage.objects.exists()
    assert Node.objects.get(pk=lesson.pk).title == lesson.title


def test_stages_are_sorted_changed_and_removed_together(browser, maths, stage):
    second = LessonStage.objects.create(
        lesson=maths["lesson"], position=2, type="Text", title="Second", config=TEXT
    )
    rows = [
        {"id": stage.pk, "lesson": maths["lesson"].pk, "title": "Last", "position": 2},
        {"id": second.pk, "lesson": maths["lesson"].pk, "position": 1, "DELETE": "on"},
        {"lesson": maths["lesson"].pk, "title": "First", "position": 1},
    ]
    browser.post(
        change_url(maths["lesson"]),
        {"title": "L", "base_xp": 10, **stages(rows, initial=2)},
    )
    found = maths["lesson"].stages.values_list("title", flat=True)
    assert list(found) == ["First", "Last"]


def test_a_lessons_page_reads_in_the_same_queries_however_many_stages(
    browser, maths, stage, django_assert_num_queries
):
    url = change_url(maths["lesson"])
    browser.get(url)
    # Session, user; the lesson; its stages; the plans that offer it; its figures; its
    # ancestors; the lessons before and after it; the editor's draft; others' drafts;
    # an unfinished version; both for the page's version; products.
    with django_assert_num_queries(15):
        assert browser.get(url).status_code == 200
    for position in range(2, 12):
        LessonStage.objects.create(
            lesson=maths["lesson"],
            position=position,
            type="Text",
            title="S",
            config=TEXT,
        )
    with django_assert_num_queries(15):
        assert browser.get(url).status_code == 200


def test_a_lessons_page_shows_its_stages_above_its_settings(browser, maths, stage):
    page = browser.get(change_url(maths["lesson"])).content.decode()
    places = [page.index(f'name="{name}"') for name in ("title", "stages-0-title")]
    assert places == sorted(places)
    assert page.index('name="stages-0-title"') < page.index('name="description"')


def test_a_lessons_page_leads_to_the_lessons_beside_it(browser, maths):
    first, second = maths["lessons"]
    assert change_url(second) in browser.get(change_url(first)).content.decode()
    assert change_url(first) in browser.get(change_url(second)).content.decode()


def test_a_lesson_in_the_trash_is_not_the_next_one(browser, maths):
    first, second = maths["lessons"]
    services.trash_nodes(nodes=[second])
    assert change_url(second) not in browser.get(change_url(first)).content.decode()


def test_an_incomplete_lesson_names_its_wrong_stages_with_links(browser, maths, stage):
    rows = [{"id": stage.pk, "lesson": maths["lesson"].pk, "title": "", "position": 1}]
    refused = browser.post(
        change_url(maths["lesson"]),
        {"title": "L", "base_xp": 10, **stages(rows, initial=1)},
        follow=True,
    )
    assert 'href="#stages-0"' in refused.content.decode()


def test_text_video_and_quiz_are_the_first_stage_types():
    assert [name for name, _texts in type_choices()][:3] == ["Text", "Video", "Quiz"]


def test_a_container_has_no_stages_and_no_xp(browser, maths):
    page = browser.get(change_url(maths["unit"])).content.decode()
    assert "stages-TOTAL_FORMS" not in page
    assert "base_xp" not in page
