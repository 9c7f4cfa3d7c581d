"""Hand-written trees and their documents, without a database.

Only `build` depends on how an `Assembly` is made.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin

import orjson

from content.kinds import Kind
from content.tree import ContentNode, Stage
from plans.access import Level, Override, plan_tree
from publishing.format.documents import DocumentMaker, PlanFields
from publishing.format.incremental import ChangedSubject, ReleaseAssembler
from publishing.format.versioning import BuiltDocument, DocumentVersioner, Record

NOON = 1_800_000_000 - 1_800_000_000 % 86_400 + 43_200
"""2027-01-15 12:00:00 UTC."""
BASE_URL = "https://learn.example/files/memora_content/"
API_URL = "https://learn.example/api/v1/content/lessons/"


def pk_of(public_id: str) -> int:
    """The primary key of a hand-written node; overrides refer to it."""
    return zlib.crc32(public_id.encode())


def _node(
    kind: Kind,
    public_id: str,
    children: Sequence[ContentNode] = (),
    stages: Sequence[Stage] = (),
    **fields: Any,
) -> ContentNode:
    values: dict[str, Any] = {
        "title": public_id.replace("-", " ").title(),
        "description": "",
        "image": "",
        "color_code": "",
        "is_published": True,
        "is_trashed": False,
        "is_linear": False,
        "is_public": False,
        "is_free_preview": False,
        "required_item": "",
        "base_xp": 10,
        "bit_index": None,
        **fields,
    }
    return ContentNode(
        pk=pk_of(public_id),
        id=public_id,
        kind=kind,
        children=tuple(children),
        stages=tuple(stages),
        **values,
    )


def subject(public_id: str, *tracks: ContentNode, **fields: Any) -> ContentNode:
    return _node(Kind.SUBJECT, public_id, tracks, **fields)


def track(public_id: str, *units: ContentNode, **fields: Any) -> ContentNode:
    return _node(Kind.TRACK, public_id, units, **fields)


def unit(public_id: str, *topics: ContentNode, **fields: Any) -> ContentNode:
    return _node(Kind.UNIT, public_id, topics, **fields)


def topic(public_id: str, *lessons: ContentNode, **fields: Any) -> ContentNode:
    return _node(Kind.TOPIC, public_id, lessons, **fields)


def lesson(public_id: str, bit: int, *stages: Stage, **fields: Any) -> ContentNode:
    return _node(Kind.LESSON, public_id, (), stages, bit_index=bit, **fields)


def stage(public_id: str, type_name: str, title: str, **config: Any) -> Stage:
    """A stage as stored, with default values for ``weight`` and the other fields."""
    return Stage(
        id=public_id,
        type=type_name,
        title=title,
        config=orjson.dumps(config, option=orjson.OPT_SORT_KEYS).decode(),
        weight=1,
        target_time=60,
        is_skippable=False,
    )


def text(public_id: str, body: str = "Read this.") -> Stage:
    return stage(public_id, "Text", "Read", format="markdown", body=body)


def override(*rules: tuple[str, str]) -> Override:
    """The override of one node for a plan's ``(action, value)`` pairs."""
    values: dict[str, Any] = {}
    for action, value in rules:
        match action:
            case "hide":
                values["hide"] = True
            case "set_free":
                values["level"] = Level.FREE_PREVIEW
            case "set_sold_separately":
                values |= {"level": Level.PAID, "item": value}
            case "set_access_level":
                values["level"] = Level(value)
            case "set_linear":
                values["is_linear"] = value == "true"
            case "rename":
                values["title"] = value
            case _:
                raise ValueError(action)
    return Override(**values)


class Links:
    """Links as a server at learn.example makes them."""

    def content(self, path: str) -> str:
        return BASE_URL + path

    def upload(self, url: str) -> str:
        return urljoin(BASE_URL, url)

    def gated_lesson(self, lesson_id: str) -> str:
        return f"{API_URL}{lesson_id}/"


class FrozenSigner:
    """A signer with a fixed word in place of an HMAC."""

    lifetime = 4 * 3600

    def sign(self, source: str, expires: int) -> str:
        return (
            f"https://learn.example/files/videos/{source}?expires={expires}&token=T0KEN"
        )


class NoRelease:
    """No release exists to build upon."""

    def read(self, path: str) -> dict[str, Any]:
        raise AssertionError(path)


def build(
    subjects: Sequence[ContentNode],
    *,
    overrides: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    plan: PlanFields | None = None,
    previous: Mapping[str, Record] | None = None,
    now: int = NOON,
    open_elsewhere: Callable[[str], bool] = lambda _lesson_id: False,
    shard_threshold: int = 500,
    revision: int = 1,
) -> dict[str, BuiltDocument]:
    """Return every document of one plan, by path.

    Args:
        overrides: the plan's overrides, by the node's public id.
        open_elsewhere: whether another plan opens a lesson.
    """
    plan_overrides = {
        pk_of(node): override(*pairs) for node, pairs in (overrides or {}).items()
    }
    trees = [plan_tree(source, plan_overrides) for source in subjects]
    versioner = DocumentVersioner(previous=previous or {}, now=now)
    maker = DocumentMaker(
        plan=plan or PlanFields(id="PLAN-1", title="Grade 5"),
        links=Links(),
        versioner=versioner,
        signer=FrozenSigner(),
        is_gated=lambda lesson_id: not open_elsewhere(lesson_id),
    )
    changed = [ChangedSubject(tree, revision) for tree in trees if tree]
    assembly = ReleaseAssembler(maker, NoRelease(), shard_threshold)
    assembly.build(changed, same_trees=False)
    return versioner.documents


def records(documents: Mapping[str, BuiltDocument]) -> dict[str, Record]:
    """The published records that the next build would find."""
    return {path: document.record for path, document in documents.items()}


def contents(documents: Mapping[str, BuiltDocument]) -> dict[str, Any]:
    """Each document's JSON by path, in the order in which an app reads them."""
    order = (
        "manifest",
        "search_index",
        "search_shard",
        "hierarchy",
        "bitmap",
        "topic",
        "lesson",
    )
    ranked = sorted(documents.values(), key=lambda d: (order.index(d.schema), d.path))
    return {document.path: orjson.loads(document.data) for document in ranked}
