"""Any tree and overrides: the documents obey docs/architecture.md, "Access".

The access rules are implemented a second time here, naively: from a node's whole
line of ancestors for every question.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from typing import Any

import orjson
from hypothesis import given, settings, strategies as st
from jsonschema import Draft202012Validator

from content.kinds import Kind
from content.tree import ContentNode, Stage, index, walk
from core.folding import searchable
from publishing.format import encoding
from publishing.format.validation import SCHEMA_FOLDER
from publishing.format.versioning import BuiltDocument
from tests.factories.content import quiz
from tests.publishing.format import trees

OPEN = {"public", "free_preview"}
LEVELS = ["public", "authenticated", "free_preview", "paid"]

# --- Random trees and overrides ---------------------------------------------

_LOOKS: list[dict[str, Any]] = [
    {},
    {},
    {"is_public": True},
    {"is_free_preview": True},
    {"required_item": "ITEM-A"},
    {"required_item": "ITEM-B", "is_public": True},
    {"required_item": "ITEM-A", "is_free_preview": True},
    {"is_linear": True},
    {"is_published": False},
    {"is_trashed": True},
]
_WORDS = ["Numbers", "الأعداد", "القِسْمة", "Élan vital", '"quoted" </b> \u2028']

_access_says = st.sampled_from(
    [
        ("hide", ""),
        ("set_free", ""),
        ("set_sold_separately", "ITEM-C"),
        ("set_sold_separately", ""),
        *(("set_access_level", level) for level in LEVELS),
    ]
)
_says = st.one_of(
    _access_says.map(lambda said: [said]),
    st.sampled_from(["true", "false"]).map(lambda value: [("set_linear", value)]),
    st.sampled_from(_WORDS).map(lambda title: [("rename", f"{title} here")]),
    _access_says.map(
        lambda said: [said, ("set_linear", "true"), ("rename", "All three")]
    ),
)


@dataclass(frozen=True)
class World:
    """A plan's subjects and its overrides of their nodes."""

    subjects: tuple[ContentNode, ...]
    overrides: Mapping[str, list[tuple[str, str]]]
    open_elsewhere: frozenset[str]
    shard_threshold: int

    def build(self, **more: Any) -> dict[str, BuiltDocument]:
        return trees.build(
            self.subjects,
            overrides=self.overrides,
            open_elsewhere=self.open_elsewhere.__contains__,
            shard_threshold=self.shard_threshold,
            **more,
        )


@st.composite
def worlds(draw: Any) -> World:
    numbers = count(1)
    below = {
        Kind.SUBJECT: (Kind.TRACK, [1, 2, 0]),
        Kind.TRACK: (Kind.UNIT, [1, 2, 0]),
        Kind.UNIT: (Kind.TOPIC, [1, 2, 0]),
        Kind.TOPIC: (Kind.LESSON, [1, 2, 3, 0]),
    }
    make = {
        Kind.SUBJECT: trees.subject,
        Kind.TRACK: trees.track,
        Kind.UNIT: trees.unit,
        Kind.TOPIC: trees.topic,
    }

    def stage() -> Stage:
        public_id = f"STG-{next(numbers):04}"
        if draw(st.booleans()):
            return trees.text(public_id, draw(st.sampled_from(_WORDS)))
        items = draw(st.sampled_from([["Q-1"], ["Q-2", "Q-1"]]))
        return trees.stage(public_id, "Quiz", "Ask", **quiz(*items))

    def stages() -> list[Stage]:
        return [stage() for _ in range(draw(st.integers(0, 2)))]

    def grow(kind: Kind, bits: list[int]) -> ContentNode:
        fields = {
            "title": draw(st.sampled_from(_WORDS)),
            "description": draw(st.sampled_from(["", "What it is about"])),
            **draw(st.sampled_from(_LOOKS)),
        }
        # Ids of equal length: none is contained in another.
        public_id = f"{kind.value.upper()}-{next(numbers):04}"
        if kind is Kind.LESSON:
            return trees.lesson(public_id, bits.pop(), *stages(), **fields)
        child, sizes = below[kind]
        size = draw(st.sampled_from(sizes))
        children = [grow(child, bits) for _ in range(size)]
        return make[kind](public_id, *children, **fields)

    def bits() -> list[int]:
        step = draw(st.sampled_from([1, 7, 24]))
        return [(number * step) % 25 for number in range(25)]

    subjects = tuple(grow(Kind.SUBJECT, bits()) for _ in range(draw(st.integers(1, 2))))
    ids = [node.id for subject in subjects for node in walk(subject)]
    chosen = st.sampled_from(ids)
    return World(
        subjects=subjects,
        overrides=draw(st.dictionaries(chosen, _says, max_size=5)),
        open_elsewhere=draw(st.frozensets(chosen, max_size=3)),
        shard_threshold=draw(st.sampled_from([500, 1])),
    )


# --- The rules, implemented naively -----------------------------------------


def items_of(lesson: ContentNode) -> list[str]:
    configs = [orjson.loads(stage.config) for stage in lesson.stages]
    return list(
        dict.fromkeys(
            question["id"]
            for config in configs
            for question in config.get("questions", [])
        )
    )


Line = tuple[ContentNode, ...]
"""A node after its ancestors, the subject first."""


def lines(node: ContentNode, above: Line = ()) -> Iterator[Line]:
    yield (*above, node)
    for child in node.children:
        yield from lines(child, (*above, node))


@dataclass(frozen=True)
class Reference:
    """The rules of docs/architecture.md, "Access", for each node of a world."""

    world: World

    def says(self, node: ContentNode, *actions: str) -> str | None:
        """The value of the plan's override of ``node`` by one of these actions."""
        found = [
            value
            for action, value in self.world.overrides.get(node.id, [])
            if action in actions
        ]
        return found[0] if found else None

    def is_offered(self, line: Line) -> bool:
        """Whether neither the node nor an ancestor is a draft, trashed or hidden."""
        return all(
            node.is_published
            and not node.is_trashed
            and self.says(node, "hide") is None
            for node in line
        )

    def is_visible(self, line: Line) -> bool:
        if not self.is_offered(line):
            return False
        if len(line) in (1, 5):
            return True
        return any(
            len(below) == 5 and self.is_offered(below)
            for below in lines(line[-1], line[:-1])
        )

    def access(self, line: Line) -> tuple[str, str]:
        """The node's level and, when paid, its product."""
        *above, node = line
        inherited = self.access(tuple(above)) if above else ("authenticated", "")
        item = node.required_item or inherited[1]
        if (level := self.says(node, "set_access_level")) is not None:
            return level, item if level == "paid" else ""
        if self.says(node, "set_free") is not None:
            return "free_preview", ""
        if (sold := self.says(node, "set_sold_separately")) is not None:
            return "paid", sold or item
        if node.is_free_preview:
            return "free_preview", ""
        if node.required_item:
            return "paid", node.required_item
        if inherited[0] != "authenticated":
            return inherited
        return ("public" if node.is_public else "authenticated"), ""

    def is_linear(self, node: ContentNode) -> bool:
        value = self.says(node, "set_linear")
        return node.is_linear if value is None else value == "true"

    def title(self, node: ContentNode) -> str:
        return self.says(node, "rename") or node.title

    def visible(self, root: ContentNode, kind: Kind) -> list[Line]:
        """The visible nodes of a kind, in tree order."""
        return [
            line
            for line in lines(root)
            if line[-1].kind is kind and self.is_visible(line)
        ]

    def entry(self, line: Line) -> dict[str, Any]:
        """The fields that every document contains for a node."""
        level, item = self.access(line)
        return {
            "id": line[-1].id,
            "title": self.title(line[-1]),
            "access": {
                "is_published": True,
                "access_level": level,
                **({"required_item": item} if item else {}),
            },
        }


# --- Reading documents ------------------------------------------------------


def read(documents: Mapping[str, BuiltDocument], path: str) -> Any:
    return orjson.loads(documents[path].data)


def entry_of(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: found[key] for key in ("id", "title", "access")}


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object anywhere in a document."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


def everything(documents: Mapping[str, BuiltDocument]) -> Iterator[dict[str, Any]]:
    for path in documents:
        yield from objects(read(documents, path))


@cache
def validator(schema: str) -> Draft202012Validator:
    text = (SCHEMA_FOLDER / f"{schema}.schema.json").read_text()
    return Draft202012Validator(orjson.loads(text))


some = settings(deadline=None, max_examples=60)

# --- Properties -------------------------------------------------------------


@some
@given(worlds())
def test_containers_stand_in_manifest_and_hierarchy_as_the_rules_say(world):
    rules, documents = Reference(world), world.build()
    manifest = read(documents, "plans/PLAN-1/manifest.json")
    offered = [root for root in world.subjects if rules.is_visible((root,))]
    assert [entry["id"] for entry in manifest["subjects"]] == [r.id for r in offered]
    for root, entry in zip(offered, manifest["subjects"], strict=True):
        hierarchy = read(documents, entry["hierarchy_path"])
        tracks = hierarchy["tracks"]
        units = [unit for track in tracks for unit in track["units"]]
        topics = [topic for unit in units for topic in unit["topics"]]
        assert entry_of(entry) == rules.entry((root,))
        for kind, found in (
            (Kind.SUBJECT, [hierarchy]),
            (Kind.TRACK, tracks),
            (Kind.UNIT, units),
            (Kind.TOPIC, topics),
        ):
            expected = rules.visible(root, kind)
            assert [entry_of(said) for said in found] == [
                rules.entry(line) for line in expected
            ]
            assert [said["is_linear"] for said in found] == [
                rules.is_linear(line[-1]) for line in expected
            ]
        assert hierarchy["stats"] == {
            "total_tracks": len(tracks),
            "total_units": len(units),
            "total_topics": len(topics),
            "total_lessons": len(rules.visible(root, Kind.LESSON)),
        }


@some
@given(worlds())
def test_lessons_stand_in_topics_and_bitmaps_as_the_rules_say(world):
    rules, documents = Reference(world), world.build()
    for root in (root for root in world.subjects if rules.is_visible((root,))):
        expected = rules.visible(root, Kind.LESSON)
        mappings = read(documents, f"plans/PLAN-1/{root.id}_b.json")["mappings"]
        assert list(mappings) == [line[-1].id for line in expected], "in tree order"
        for line in rules.visible(root, Kind.TOPIC):
            topic = read(documents, f"plans/PLAN-1/{line[-1].id}.json")
            own = [found for found in expected if found[:-1] == line]
            assert [entry_of(entry) for entry in topic["lessons"]] == [
                rules.entry(found) for found in own
            ]
            above = zip(("subject", "track", "unit"), line[:-1], strict=True)
            for name, node in above:
                assert topic["parent"][f"{name}_id"] == node.id
                assert topic["parent"][f"{name}_title"] == rules.title(node)
            for found, entry in zip(own, topic["lessons"], strict=True):
                lesson, (level, item) = found[-1], rules.access(found)
                assert entry["bit_index"] == lesson.bit_index
                assert entry["stage_count"] == len(lesson.stages)
                gated = level not in OPEN and lesson.id not in world.open_elsewhere
                assert entry.get("gated", False) is gated
                base = trees.API_URL if gated else trees.BASE_URL
                assert entry["lesson_url"].startswith(base)
                assert mappings[lesson.id] == {
                    "bit_index": lesson.bit_index,
                    "topic_id": line[-1].id,
                    "access_level": level,
                    **({"required_item": item} if item else {}),
                    "base_xp": lesson.base_xp,
                    **({"review_items": items} if (items := items_of(lesson)) else {}),
                }


@some
@given(worlds())
def test_what_is_not_offered_is_nowhere(world):
    rules, documents = Reference(world), world.build()
    published = b"".join(document.data for document in documents.values())
    files = " ".join(documents)
    for root in world.subjects:
        for line in lines(root):
            seen = line[-1].id.encode() in published
            assert seen is rules.is_visible(line), line[-1].id
            if not rules.is_visible(line):
                assert line[-1].id not in files


@some
@given(worlds())
def test_every_bit_is_its_lesson_s_own(world):
    documents = world.build()
    for root in world.subjects:
        path = f"plans/PLAN-1/{root.id}_b.json"
        if path not in documents:
            continue
        bitmap = read(documents, path)
        given_bits = {node.id: node.bit_index for node in walk(root)}
        bits = {key: entry["bit_index"] for key, entry in bitmap["mappings"].items()}
        assert len(set(bits.values())) == len(bits) == bitmap["total_lessons"]
        assert all(bit == given_bits[lesson] for lesson, bit in bits.items())


@some
@given(worlds())
def test_search_has_every_visible_node_once_whole_or_split(world):
    rules, documents = Reference(world), world.build()
    found = read(documents, "plans/PLAN-1/search_index.json")
    items = found.get("items", [])
    lessons = 0
    expected = []
    for root in world.subjects:
        own = [line for line in lines(root) if rules.is_visible(line)]
        lessons += sum(len(line) == 5 for line in own)
        expected += own
    assert found["is_sharded"] is (lessons > world.shard_threshold)
    for shard in found.get("shards", []):
        part = read(documents, shard["shard_path"])
        assert part["total_items"] == len(part["items"])
        assert {item["path"][0] for item in part["items"][1:]} <= {
            part["items"][0]["title"]
        }
        items += part["items"]
    assert found["total_items"] == len(items)
    for item in items:
        words = item.pop("keywords", "").split()
        assert words == sorted(words)
        assert not any(word in item["text"] for word in words)
        assert not words or item["kind"] == "lesson"
    assert items == [
        {
            "id": line[-1].id,
            "kind": line[-1].kind.value,
            "title": rules.title(line[-1]),
            **({"description": text} if (text := line[-1].description) else {}),
            "path": [rules.title(node) for node in line[:-1]],
            "access_level": rules.access(line)[0],
            "text": searchable(f"{rules.title(line[-1])} {line[-1].description}"),
        }
        for line in expected
    ]


@some
@given(worlds())
def test_links_lead_to_what_they_say_and_to_everything(world):
    documents = world.build()
    reached = {"plans/PLAN-1/manifest.json"}
    for link in everything(documents):
        for name in (key.removesuffix("_path") for key in link if "_path" in key):
            path = link[f"{name}_path"]
            reached.add(path)
            if name == "lesson":
                version = read(documents, path)["version"]
                assert link["lesson_version"] == version
                continue
            assert link[f"{name}_url"] == trees.BASE_URL + path
            assert link[f"{name}_hash"] == encoding.sha256(documents[path].data)
    assert reached == set(documents)


@some
@given(worlds())
def test_every_document_is_valid_and_dated(world):
    for document in world.build().values():
        content = orjson.loads(document.data)
        validator(document.schema).validate(content)
        assert list(content)[:2] == ["version", "generated_at"]
        assert content["generated_at"] == encoding.iso_instant(content["version"])
        assert document.record.version == content["version"]
        assert document.record.sha256 == encoding.sha256(document.data)


@some
@given(worlds(), st.integers(0, 10**6))
def test_building_again_changes_nothing(world, later):
    first = world.build()
    again = world.build(previous=trees.records(first), now=trees.NOON + later)
    assert {path: found.data for path, found in again.items()} == {
        path: found.data for path, found in first.items()
    }
    assert not any(document.changed for document in again.values())
    assert trees.records(again) == trees.records(first)


def keywords_in(documents: Any, path: str) -> list[Any]:
    """The keywords in a part of the search index, or in the parts that it links to."""
    content = read(documents, path)
    if "/search" not in path:
        return []
    parts = [read(documents, one["shard_path"]) for one in content.get("shards", [])]
    return [
        item.get("keywords")
        for part in (content, *parts)
        for item in part.get("items", [])
    ]


def with_stages(node: ContentNode, lesson_id: str, stages: Any) -> ContentNode:
    if node.id == lesson_id:
        return replace(node, stages=stages)
    children = tuple(with_stages(child, lesson_id, stages) for child in node.children)
    return replace(node, children=children)


@some
@given(worlds(), st.data())
def test_a_stage_edit_changes_its_lesson_and_what_leads_to_it_only(world, data):
    rules, first = Reference(world), world.build()
    visible = [
        line for root in world.subjects for line in rules.visible(root, Kind.LESSON)
    ]
    if not visible:
        return
    root, _track, _unit, topic, lesson = data.draw(st.sampled_from(visible))
    edited = (*lesson.stages[1:], trees.text("STG-NEW", "New words"))
    if len(edited) != len(lesson.stages):  # the topic contains the number of stages
        edited = (trees.text("STG-NEW", "New words"),)
    subjects = tuple(with_stages(node, lesson.id, edited) for node in world.subjects)
    after = replace(world, subjects=subjects).build(previous=trees.records(first))
    changed = {path for path, document in after.items() if document.changed}
    assert changed == {
        f"lessons/{lesson.id}.json",
        f"plans/PLAN-1/{topic.id}.json",
        f"plans/PLAN-1/{root.id}_h.json",
        "plans/PLAN-1/manifest.json",
        # The bitmap only with other items.
        *(
            {f"plans/PLAN-1/{root.id}_b.json"}
            if items_of(replace(lesson, stages=edited)) != items_of(lesson)
            else ()
        ),
        # The search index only with other words.
        *(
            path
            for path in first
            if keywords_in(first, path) != keywords_in(after, path)
        ),
    }
    for path, document in after.items():
        # A changed document gets a new version even within one second.
        grown = 1 if path in changed else 0
        assert document.record.version == first[path].record.version + grown
        assert (document.data == first[path].data) is (path not in changed)


@some
@given(worlds(), worlds())
def test_versions_only_grow_from_one_tree_to_any_other(before, after):
    first = before.build()
    second = after.build(previous=trees.records(first))
    for path in first.keys() & second.keys():
        old, new = first[path], second[path]
        if old.data == new.data:
            assert new.record == old.record
        else:
            assert new.record.version > old.record.version


def test_the_random_worlds_have_what_the_rules_are_about():
    """Without such worlds, the properties above would hold trivially."""
    seen: set[str] = set()

    @settings(deadline=None, max_examples=200, database=None, derandomize=True)
    @given(worlds())
    def look(world):
        rules = Reference(world)
        for root in world.subjects:
            for line in lines(root):
                if len(line) == 5:
                    seen.add(rules.access(line)[0])
                    seen.add("seen" if rules.is_visible(line) else "unseen")
        seen.update(
            action for entry in world.overrides.values() for action, _v in entry
        )
        for node in (node for root in world.subjects for node in index(root).values()):
            seen.update(key for key in ("is_linear",) if getattr(node, key))

    look()
    assert seen >= {*LEVELS, "seen", "unseen", "is_linear"}
    assert seen >= {"hide", "set_free", "set_sold_separately", "set_access_level"}
    assert seen >= {"set_linear", "rename"}
