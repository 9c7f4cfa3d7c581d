"""The reviewable items of a plan's release, and those that a player may review."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import orjson

from plans.access import Level
from players.services.access import PlayerAccess
from publishing.api import LessonEntry, PlanStructure

_KEPT = 64
_read: dict[str, tuple[PlanStructure, "PublishedItems"]] = {}


@dataclass(frozen=True)
class PublishedItems:
    """The lessons of one release that have reviewable items, by id.

    ``version`` is equal for releases whose items, and the access to them, are equal.
    """

    lessons: Mapping[str, LessonEntry]

    @cached_property
    def version(self) -> str:
        about = [
            (
                lesson.id,
                lesson.subject_id,
                _product(lesson),
                sorted(lesson.review_items),
            )
            for _id, lesson in sorted(self.lessons.items())
        ]
        return hashlib.blake2b(orjson.dumps(about), digest_size=16).hexdigest()

    @cached_property
    def products(self) -> frozenset[str]:
        """The products that lessons with items need."""
        needed = {_product(lesson) for lesson in self.lessons.values()}
        return frozenset(product for product in needed if product)

    @cached_property
    def _uses(self) -> Counter[str]:
        return Counter(
            item for lesson in self.lessons.values() for item in lesson.review_items
        )

    def is_published(self, lesson_id: str, item_id: str) -> bool:
        lesson = self.lessons.get(lesson_id)
        return lesson is not None and item_id in lesson.review_items

    def is_only_published_at(self, lesson_id: str, item_id: str) -> bool:
        """Whether this lesson, and no other, has an item with this id."""
        return self.is_published(lesson_id, item_id) and self._uses[item_id] == 1


@dataclass(frozen=True, slots=True)
class OpenItems:
    """A release's items, and the products that the player owns now.

    ``version`` is equal while both are.
    """

    published: PublishedItems
    owned: frozenset[str]
    version: str

    def is_active(self, lesson_id: str, item_id: str) -> bool:
        """Whether the item is published and the player may open its lesson."""
        if not self.published.is_published(lesson_id, item_id):
            return False
        product = _product(self.published.lessons[lesson_id])
        return product is None or product in self.owned


def of_player(
    plan: PlanStructure, player_access: PlayerAccess, now: float
) -> OpenItems:
    """Return the items of the release for a player with this access, at a Unix time."""
    published = of_plan(plan)
    owned = published.products & player_access.current_items(now)
    digest = hashlib.blake2b(orjson.dumps(sorted(owned)), digest_size=16)
    return OpenItems(published, owned, published.version + digest.hexdigest())


def of_plan(plan: PlanStructure) -> PublishedItems:
    """Return the items of a release.

    They are cached while `publishing.published_content` returns the same object for it.
    """
    held = _read.get(plan.plan_id)
    if held is not None and held[0] is plan:
        return held[1]
    published = PublishedItems(
        {
            lesson_id: lesson
            for lesson_id, lesson in plan.lessons.items()
            if lesson.review_items
        }
    )
    if len(_read) >= _KEPT:
        _read.clear()
    _read[plan.plan_id] = (plan, published)
    return published


def _product(lesson: LessonEntry) -> str | None:
    """The product that opens the lesson; None: it needs none; "": nothing opens it."""
    return lesson.required_item if lesson.access_level == Level.PAID else None
