"""The search index has the words of lessons, however the build came about."""

import pytest

from content.models import Node
from plans.services import set_override
from publishing.building import builds
from publishing.models import PublishingSettings
from tests.factories.content import make_stage
from tests.publishing import release
from tests.publishing.building.test_review_items import (
    FullBuild,
    PartialBuild,
    PatchBuild,
    publish,
)
from tests.publishing.conftest import node

pytestmark = pytest.mark.django_db

FIRST = "LES-MATH-0-0"
INDEX = "plans/PLAN-A/search_index.json"


@pytest.fixture
def written(plan):
    """A text in the first lesson, published."""
    config = {"format": "html", "body": "<p>first <b>fraction</b></p>"}
    stage = make_stage(node(FIRST), title="Reading", config=config)
    builds.publish_plan(plan.pk)
    return stage


def rewrite(stage, body):
    stage.config = {"format": "html", "body": body}
    stage.save()


def words(lesson_id=FIRST):
    index = release.read(INDEX)
    items = index.get("items") or [
        item
        for shard in index["shards"]
        for item in release.read(shard["shard_path"])["items"]
    ]
    [item] = [item for item in items if item["id"] == lesson_id]
    return item.get("keywords", "").split()


def test_an_edit_of_stages_patches_the_index(plan, written):
    rewrite(written, "<p>second</p>")
    publish(plan, PatchBuild)
    assert "second" in words()
    assert "fraction" not in words()


def test_an_edit_that_keeps_the_words_leaves_the_index(plan, written):
    before = (release.root() / INDEX).read_bytes()
    rewrite(written, "<p><b>fraction</b>, first!</p>")
    publish(plan, PatchBuild)
    assert (release.root() / INDEX).read_bytes() == before


def test_an_edit_of_stages_patches_the_shard_of_its_subject(plan, written):
    PublishingSettings.objects.update(search_shard_threshold=0)
    publish(plan, FullBuild)
    rewrite(written, "<p>second</p>")
    publish(plan, PatchBuild)
    assert "second" in words()


def test_a_changed_tree_keeps_the_words_of_unread_lessons(plan, written):
    other = node("LES-MATH-0-1")
    other.title = "Renamed"
    other.save()
    before = words()
    publish(plan, PartialBuild)
    assert words() == before
    assert "fraction" in before


@pytest.mark.parametrize("body", ["<p>second</p>", "<p>first and more words</p>"])
def test_a_patched_index_is_that_of_a_full_build(plan, written, body):
    rewrite(written, body)
    publish(plan, PatchBuild)
    patched = release.read(INDEX)
    plan.title = "Renamed"
    plan.save()
    publish(plan, FullBuild)
    assert release.read(INDEX) == patched


def test_a_lesson_that_becomes_paid_has_only_its_terms(plan, written):
    Node.objects.filter(public_id=FIRST).update(required_item="MATHS")
    builds.publish_plan(plan.pk)
    assert words() == ["fraction", "reading"]


def test_a_hidden_lesson_has_no_words(plan, written):
    set_override(plan=plan, target=node(FIRST), action="hide")
    builds.publish_plan(plan.pk)
    rewrite(written, "<p>second</p>")
    builds.publish_plan(plan.pk)
    assert "second" not in (release.root() / INDEX).read_text()
