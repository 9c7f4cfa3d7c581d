"""A lesson's reviewable items are in the bitmap, however the build came about."""

import pytest
from django.utils import translation

from content.models import LessonStage, Node
from plans.models import AcademicPlan
from plans.services import add_subject, set_override
from publishing import staleness
from publishing.admin_views import plan_views
from publishing.building import builds, snapshot
from publishing.building.current_release import CurrentRelease
from publishing.building.modes import FullBuild, PartialBuild, PatchBuild
from publishing.format.incremental import UnreadableReleaseError
from publishing.models import Publication, PublishedDocument, SyncLog
from publishing.published_content import load_plan
from publishing.storage import file_store
from tests.factories.content import make_stage, quiz
from tests.publishing import release
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db

BITMAP = "plans/PLAN-A/SUBJ-MATH_b.json"
FIRST = "LES-MATH-0-0"


@pytest.fixture
def asked(plan) -> LessonStage:
    """A quiz with two items in the first lesson, published."""
    stage = make_stage(node(FIRST), type="Quiz", config=quiz("A", "B"))
    builds.publish_plan(plan.pk)
    return stage


def items(lesson_id: str = FIRST, plan: str = "PLAN-A") -> list[str]:
    mappings = release.read(f"plans/{plan}/SUBJ-MATH_b.json")["mappings"]
    return mappings[lesson_id].get("review_items", [])


def publish(plan: AcademicPlan, mode: type) -> SyncLog:
    assert type(snapshot.take(plan.pk).mode) is mode
    entry = builds.publish_plan(plan.pk)
    assert entry is not None
    assert not entry.error
    release.walk(plan.public_id)
    return entry


def test_progress_reads_the_items_with_the_structure(asked):
    lessons = load_plan("PLAN-A").lessons
    assert lessons[FIRST].review_items == ("A", "B")
    assert lessons["LES-MATH-0-1"].review_items == ()


def test_an_edit_without_other_items_leaves_the_bitmap(plan, asked):
    before = (release.root() / BITMAP).read_bytes()
    asked.config["questions"][0]["prompt"] = "2 + 2?"
    asked.save()
    # The lesson, its topic, the hierarchy and the manifest.
    assert publish(plan, PatchBuild).files_written == 4
    assert (release.root() / BITMAP).read_bytes() == before


@pytest.mark.parametrize("after", [["A"], ["B", "A"], ["C", "A", "B"], None])
def test_an_edit_of_items_patches_the_bitmap(plan, asked, after):
    if after is None:
        asked.delete()
    else:
        asked.config = quiz(*after)
        asked.save()
    # The bitmap, too; the search index without the words of a deleted stage.
    assert publish(plan, PatchBuild).files_written == (6 if after is None else 5)
    assert items() == (after or [])


def test_first_items_of_a_lesson_are_added(plan, asked):
    make_stage(node("LES-MATH-1-0"), type="Quiz", config=quiz("C"))
    publish(plan, PatchBuild)
    assert items("LES-MATH-1-0") == ["C"]
    assert items() == ["A", "B"]


def test_many_edited_lessons_are_patched(plan, asked, monkeypatch):
    monkeypatch.setattr("publishing.building.current_release._FOUND_UP_TO", 1)
    make_stage(node("LES-MATH-1-0"), type="Quiz", config=quiz("C"))
    asked.config = quiz("B")
    asked.save()
    publish(plan, PatchBuild)
    assert (items(), items("LES-MATH-1-0")) == (["B"], ["C"])


def test_an_edit_of_a_lesson_that_the_plan_hides_changes_no_bitmap(plan, asked):
    set_override(plan=plan, target=node(FIRST), action="hide")
    publish(plan, FullBuild)
    asked.config = quiz("C")
    asked.save()
    builds.publish_plan(plan.pk)
    assert FIRST not in release.read(BITMAP)["mappings"]


def test_a_product_code_with_braces_is_no_end_of_an_entry(plan, asked):
    Node.objects.filter(public_id=FIRST).update(required_item='A}"B')
    builds.publish_plan(plan.pk)
    asked.config = quiz("B")
    asked.save()
    publish(plan, PatchBuild)
    assert items() == ["B"]


def test_items_of_unchanged_lessons_are_kept_without_opening_them(
    plan, asked, monkeypatch
):
    Node.objects.filter(public_id="UNIT-MATH-1").update(title="Other")
    opened = []
    real = file_store.read
    monkeypatch.setattr(
        file_store, "read", lambda path: opened.append(path) or real(path)
    )
    publish(plan, PartialBuild)
    assert items() == ["A", "B"]
    assert not [path for path in opened if path.startswith("lessons/")]


def test_another_plan_has_the_items_of_lessons_it_reuses(plan, asked):
    other = AcademicPlan.objects.create(
        public_id="PLAN-B", title="Other", is_published=True
    )
    add_subject(plan=other, subject=node("SUBJ-MATH"))
    publish(other, FullBuild)
    assert items(plan="PLAN-B") == ["A", "B"]
    # The other plan's build renews the lesson's file, and then this plan's bitmap
    # differs from the file's record.
    asked.config = quiz("C")
    asked.save()
    builds.publish_plan(other.pk)
    assert (items(plan="PLAN-B"), items()) == (["C"], ["A", "B"])
    publish(plan, PatchBuild)
    assert items() == ["C"]


def test_a_release_of_an_older_format_is_built_again_once(plan, asked):
    Publication.objects.update(
        built_from={**Publication.objects.get().built_from, "format": 1}
    )
    PublishedDocument.objects.update(review_items="", source="of the format before")
    assert list(staleness.pending()) == [plan.pk]
    with translation.override("en"):
        assert plan_views.state_of(plan).sources == ["the format of the files"]
    entry = publish(plan, FullBuild)
    assert entry.files_written == 0
    assert items() == ["A", "B"]
    record = PublishedDocument.objects.get(lesson_id=FIRST)
    assert record.review_items == "A B"
    assert not staleness.pending()


def test_a_bitmap_that_cannot_be_read_makes_a_full_build(plan, asked):
    (release.root() / BITMAP).write_bytes(b"{}")
    current = CurrentRelease("PLAN-A", {})
    assert current.bitmap_entries(BITMAP, [FIRST]) == {}
    (release.root() / BITMAP).unlink()
    with pytest.raises(UnreadableReleaseError):
        current.bitmap_entries(BITMAP, [FIRST])
    asked.config = quiz("C")
    asked.save()
    entry = builds.publish_plan(plan.pk)
    assert entry is not None
    release.walk("PLAN-A")
    assert items() == ["C"]
