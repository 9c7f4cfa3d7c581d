"""The documents that a publish would make now, for previews.

Nothing is written. Published documents are read as the app reads them.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

import orjson
from django.utils import timezone

from content import config_texts
from content.kinds import Kind
from content.models import Node
from content.queries import load_branch
from content.stage_types import SCHEMAS
from content.tree import ContentNode
from plans.access import PlanNode, lessons, plan_tree
from plans.models import AcademicPlan
from plans.queries import load_overrides, subject_pks
from publishing.building import releases, snapshot
from publishing.content_urls import local_base_url
from publishing.format import locations
from publishing.format.documents import DocumentMaker, PlanFields
from publishing.format.versioning import BuiltDocument, DocumentVersioner
from publishing.models import PublishingSettings
from publishing.signing import links
from publishing.storage import file_store

Document = dict[str, Any]

NO_PLAN = PlanFields(id="NO-PLAN", title="")
"""Facts for previews without a plan; the id appears in their paths."""


class Documents(Protocol):
    """The source of a preview's documents."""

    def read(self, path: str) -> Document | None:
        """Return the document at a content path; None if there is none."""


class PublishedDocuments:
    """The documents that students read now, or those of a kept generation.

    Args:
        generation: the number of a generation of the plan; None: the current one.
    """

    def __init__(self, generation: int | None = None) -> None:
        self._generation = generation

    def read(self, path: str) -> Document | None:
        if self._generation is not None and path.startswith("plans/"):
            # Lessons are shared by generations.
            _plans, plan_id, name = path.split("/", 2)
            path = f"{locations.GENERATIONS}/{plan_id}/{self._generation}/{name}"
        data = file_store.read(path)
        return None if data is None else _safe(orjson.loads(data))


class DraftDocuments:
    """The documents that a publish would make now, of a branch or of a whole plan.

    Stages are read only when the branch is a topic, from which lessons can be opened.
    Without stages, the cost of the other pages does not grow with the subject.

    Args:
        plan: None stands for a plan without overrides.
        branch: make only the documents above and below this node.
        as_if_published: treat drafts as published.
    """

    def __init__(
        self,
        plan: AcademicPlan | None,
        branch: Node | None = None,
        *,
        as_if_published: bool = False,
    ) -> None:
        self._plan = plan
        self._branch = branch
        self._as_if_published = as_if_published

    def offers(self, node: Node) -> bool:
        """Return whether students see the node itself, not only its ancestors."""
        offered, _documents = self._made
        return node.public_id in offered

    def read(self, path: str) -> Document | None:
        """As `Documents.read`."""
        _offered, documents = self._made
        built = documents.get(path)
        return None if built is None else orjson.loads(built.data)

    @cached_property
    def _made(self) -> tuple[Set[str], Mapping[str, BuiltDocument]]:
        """The ids of the nodes that students see, and the documents by path."""
        plan = self._plan
        maker = _maker(NO_PLAN if plan is None else snapshot.plan_fields(plan))
        overrides = {} if plan is None else load_overrides(plan.pk)
        offered: set[str] = set()
        entries = []
        for root in self._roots():
            tree = plan_tree(root, overrides)
            if tree is not None:
                offered.update(_ids(tree))
                for lesson in lessons(tree):
                    maker.lesson(lesson.source, revision=0)
                entries.append(maker.subject(tree))
        maker.manifest(entries, {})
        return offered, maker.versioner.documents

    def _roots(self) -> Iterator[ContentNode]:
        branches = self._subjects() if self._branch is None else [self._branch]
        for node in branches:
            root = load_branch(node, with_stages=node.kind == Kind.TOPIC.value)
            yield _published(root) if self._as_if_published else root

    def _subjects(self) -> Iterator[Node]:
        """The plan's subjects, in order."""
        pks = [] if self._plan is None else subject_pks(self._plan.pk)
        found = Node.objects.in_bulk(pks)
        return (found[pk] for pk in pks)


def _ids(node: PlanNode) -> Iterator[str]:
    yield node.id
    for child in node.children:
        yield from _ids(child)


def _published(node: ContentNode) -> ContentNode:
    children = tuple(_published(child) for child in node.children)
    return replace(node, is_published=True, children=children)


def _maker(facts: PlanFields) -> DocumentMaker:
    current = PublishingSettings.get_solo()
    return DocumentMaker(
        plan=facts,
        links=releases.SettingsLinks(current, base_url=local_base_url(current)),
        versioner=DocumentVersioner(previous={}, now=int(timezone.now().timestamp())),
        # When files hold no signature, the app requests one before it plays a video.
        signer=links.video_signer(current),
        is_gated=lambda _lesson_id: True,
    )


def lesson_document(lesson: ContentNode) -> Document:
    """Return the lesson's file as a publish would make it, with signed videos."""
    maker = _maker(NO_PLAN)
    made: Document = orjson.loads(maker.lesson(lesson, revision=0).data)
    return made


def published_lesson(lesson_id: str) -> Document | None:
    """Return the lesson's published file with new video signatures; None if absent."""
    document = PublishedDocuments().read(locations.lesson(lesson_id))
    if document is None:
        return None
    signer = links.video_signer(PublishingSettings.get_solo())
    expires = int(timezone.now().timestamp()) + signer.lifetime
    for stage in document["stages"]:
        source = stage["config"].get("source", "") if stage["type"] == "Video" else ""
        if source and not source.startswith(("https://", "http://")):
            stage["config"]["signed_url"] = signer.sign(source, expires)
    return document


def _safe(document: Document) -> Document:
    """Sanitise a published document's HTML by the current rules."""
    for stage in document.get("stages", ()):
        if stage["type"] in SCHEMAS:
            stage["config"] = config_texts.sanitise(stage["type"], stage["config"])
    return document
