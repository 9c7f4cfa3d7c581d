"""Validate a stage's ``config`` and prepare it for storage.

The schemas of `content.stage_types` define most rules. The few rules between fields
that a schema cannot express are below, one function per type.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import jsonschema_rs
import orjson
from django.utils.translation import gettext as _

from content import config_texts, field_labels, fill_in, kinds, rich_text, video_pages
from content.json_errors import Fault, Path, make_validator, path_text, schema_faults
from content.losses import TextLosses, describe
from content.stage_types import SCHEMAS
from core import json_limits
from core.folding import fold, visible_text

Config = dict[str, Any]

ITEM_PREFIX = "ITEM"
RESERVED_KEYS = frozenset({"signed_url", "expires_at", "player_url"})
"""Publishing writes these keys to a video's config; editors must not."""
MAX_LESSON_BYTES = 1_000_000
"""The most bytes of the configs of a lesson's stages together, as in `byte_size`.

Django must accept a form of this size: ``DATA_UPLOAD_MAX_MEMORY_SIZE``.
"""


class ConfigError(ValueError):
    """A config that cannot be stored; ``faults`` lists every reason.

    Each fault is ``(path, reason)``, with the path from the root of the config.
    """

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(f"{len(faults)} faults in a stage's config")
        self.faults = faults

    @property
    def messages(self) -> list[str]:
        """One line per fault: ``config.pairs: must hold at least 2 pairs``."""
        return [
            f"{path_text(('config', *path))}: {reason}" for path, reason in self.faults
        ]


@dataclass(frozen=True, slots=True)
class CleanConfig:
    """A config ready to store, and what was removed from the given one.

    ``losses`` has an entry for each HTML text that lost something.
    """

    config: Config
    losses: tuple[TextLosses, ...] = ()


def clean(
    type_name: str, config: Any, *, previous: Config | None = None
) -> CleanConfig:
    """Return ``config`` ready to store: with item ids, sanitised HTML, and valid.

    Args:
        previous: the stored config. An item without an id that is otherwise equal keeps
            its id from there.

    Raises:
        ConfigError: with every fault; with only one if the type is unknown or the
            config is nested too deeply.
    """
    if type_name not in SCHEMAS:
        raise ConfigError([((), _("there is no stage type “%s”") % type_name)])
    if json_limits.is_too_deep(config):
        raise ConfigError([((), _("is nested too deeply"))])
    cleaned, excesses, losses = config_texts.clean(SCHEMAS[type_name], config)
    _complete_ids(type_name, cleaned, _known_ids(type_name, previous))
    unread = {path for path, _reason in excesses}
    others = [f for f in find_faults(type_name, cleaned) if f[0] not in unread]
    if faults := [*excesses, *others]:
        raise ConfigError(_with_losses(faults, losses, cleaned))
    return CleanConfig(cleaned, tuple(losses))


def clean_config(
    type_name: str, config: Any, *, previous: Config | None = None
) -> Config:
    """Like `clean`, but returns only the config."""
    return clean(type_name, config, previous=previous).config


def find_faults(type_name: str, config: Any, *, published: bool = False) -> list[Fault]:
    """Return why ``config`` may not be stored as it is; empty if it may.

    Args:
        published: check it as a published document (`config_texts.for_readers`). Texts
            are then not compared by their look, because they may have been stored
            before that rule existed.

    Raises:
        KeyError: there is no such type.
    """
    if found := [*_schema_faults(type_name, config, published=published)]:
        return found
    face = str if published else visible_text
    found = [*_id_faults(type_name, config), *_rule_faults(type_name, config, face)]
    if not published:
        found += config_texts.blank_faults(SCHEMAS[type_name], config)
        found += config_texts.formula_faults(type_name, config)
        found += _page_faults(type_name, config)
    return found


def _with_losses(
    faults: list[Fault], losses: list[TextLosses], cleaned: Config
) -> list[Fault]:
    """Return the faults; for a text that lost something, with what was lost."""
    lost = {text.path: text for text in losses}
    return [
        (path, _with_loss(reason, lost[path], cleaned) if path in lost else reason)
        for path, reason in faults
    ]


def _with_loss(reason: str, lost: TextLosses, cleaned: Config) -> str:
    text: Any = cleaned
    for step in lost.path:
        text = text[step]
    if rich_text.has_content(text):
        return f"{reason} ({lost.what})"
    return _("nothing is left of this text, because all of it is removed: %(what)s") % {
        "what": describe(lost.parts)
    }


def byte_size(config: Config) -> int:
    """Return the size of a valid config in bytes, as UTF-8 JSON without spaces."""
    return len(orjson.dumps(config))


def lesson_size_fault(size: int) -> str:
    """Return why configs of ``size`` bytes are too large for a lesson; "" if not."""
    if size <= MAX_LESSON_BYTES:
        return ""
    return _(
        "its stages have %(size)d KB in total, but a lesson can have at most "
        "%(limit)d KB: divide it into several lessons"
    ) % {"size": -(-size // 1000), "limit": MAX_LESSON_BYTES // 1000}


def with_new_ids(type_name: str, config: Config) -> Config:
    """Copy a stored config with new item ids, so that no review card belongs to it."""
    copied: Config = json.loads(json.dumps(config))
    for _path, item in _items(type_name, copied):
        item["id"] = kinds.new_id(ITEM_PREFIX)
    return copied


def reviewable_items(type_name: str, config: Config) -> list[str]:
    """Return the ids of the reviewable items in a stored config, in order."""
    return [item["id"] for _path, item in _items(type_name, config) if item.get("id")]


def item_texts(type_name: str, config: Config) -> dict[str, str]:
    """Return what a stored config asks in each reviewable item, by the item's id."""
    return {
        item["id"]: next((str(item[key]) for key in _ASKED if item.get(key)), "")
        for _path, item in _items(type_name, config)
        if item.get("id")
    }


_ASKED = ("prompt", "front", "left", "right")
"""The texts of an item that may be its question: of questions and sentences, of cards,
of pairs whose other side is a picture."""


def items_of_lesson(stages: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the ids of a lesson's reviewable items, in order, each once.

    Args:
        stages: of each stage, its type and its stored config as JSON text.
    """
    found: dict[str, None] = {}
    for type_name, text in stages:
        if type_name in TYPES_WITH_ITEMS:
            found |= dict.fromkeys(reviewable_items(type_name, orjson.loads(text)))
    return tuple(found)


class RepeatedItem(NamedTuple):
    """An item id that two stages of a lesson use.

    ``first`` and ``second`` are indexes of stages; ``path`` is the id's in the second.
    """

    item_id: str
    first: int
    second: int
    path: Path


def repeated_items(stages: Iterable[tuple[str, Config]]) -> list[RepeatedItem]:
    """Return the item ids that several stages of one lesson use.

    `find_faults` reports an id that one stage uses twice.

    Args:
        stages: of each stage, its type and its valid config.
    """
    used: dict[str, int] = {}
    found = []
    for number, (type_name, config) in enumerate(stages):
        for path, item in _items(type_name, config):
            first = used.setdefault(item["id"], number) if "id" in item else number
            if first != number:
                found.append(RepeatedItem(item["id"], first, number, (*path, "id")))
    return found


def repeated_item_fault(
    repeated: RepeatedItem, *, lesson: str, stages: Sequence[str]
) -> str:
    """Return the reason to refuse a repeated item.

    Args:
        lesson: the lesson's title.
        stages: the titles of its stages.
    """
    return _(
        "the item %(item)s is in two stages of the lesson “%(lesson)s”: “%(first)s” and "
        "“%(second)s”. Give it another id in one of them, or remove the id to get a new "
        "one"
    ) % {
        "item": repeated.item_id,
        "lesson": lesson,
        "first": stages[repeated.first],
        "second": stages[repeated.second],
    }


# --- JSON Schema ------------------------------------------------------------


_PUBLISHED_PICTURE = r"^https?://[^\s\\<>\"]+$"
"""An absolute URL; ``http`` too, for development servers."""


@cache
def _schema(type_name: str, *, published: bool) -> dict[str, Any]:
    if not published:
        return SCHEMAS[type_name]

    def as_published(place: dict[str, Any]) -> dict[str, Any]:
        is_picture = place.get("x-widget") == "image"
        return place | {"pattern": _PUBLISHED_PICTURE} if is_picture else place

    schema: dict[str, Any] = json.loads(
        json.dumps(SCHEMAS[type_name]), object_hook=as_published
    )
    return schema


@cache
def _validator(
    type_name: str, *, published: bool
) -> jsonschema_rs.Draft202012Validator:
    return make_validator(_schema(type_name, published=published))


def _schema_faults(type_name: str, config: Any, *, published: bool) -> Iterator[Fault]:
    validator = _validator(type_name, published=published)
    schema = _schema(type_name, published=published)
    for path, reason in schema_faults(validator, schema, config):
        if len(path) == 1 and path[0] in RESERVED_KEYS:
            yield path, _("is added when publishing: remove it")
        else:
            yield path, reason


# --- Reviewable items -------------------------------------------------------


class _ItemPlace(NamedTuple):
    """The part of a schema that leads to item ids; the rest of a config is not read.

    ``element`` is that of a list's elements; ``properties`` are those of an object, by
    name, in the schema's order.
    """

    is_item: bool
    element: "_ItemPlace | None"
    properties: dict[str, "_ItemPlace"]


def _item_place(schema: Mapping[str, Any]) -> _ItemPlace | None:
    """Return the part of ``schema`` that leads to item ids; None if nothing does."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    place = _ItemPlace(
        is_item=bool(properties.get("id", {}).get("x-item-id")),
        element=_item_place(schema["items"]) if "items" in schema else None,
        properties={
            name: inner
            for name, inner_schema in properties.items()
            if (inner := _item_place(inner_schema)) is not None
        },
    )
    return place if any(place) else None


_ITEM_PLACES = {
    name: place
    for name, schema in SCHEMAS.items()
    if (place := _item_place(schema)) is not None
}
TYPES_WITH_ITEMS = frozenset(_ITEM_PLACES)
"""The stage types whose configs have reviewable items."""


def _items(type_name: str, config: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the objects in ``config`` whose schema has an item id, in order.

    None for an unknown type.
    """
    place = _ITEM_PLACES.get(type_name)
    return iter(()) if place is None else _items_in(place, config, ())


def _items_in(
    place: _ItemPlace, value: Any, path: Path
) -> Iterator[tuple[Path, dict[str, Any]]]:
    if isinstance(value, list):
        if place.element is not None:
            for index, element in enumerate(value):
                yield from _items_in(place.element, element, (*path, index))
    elif isinstance(value, dict):
        if place.is_item:
            yield path, value
        for key, inner in place.properties.items():
            if key in value:
                yield from _items_in(inner, value[key], (*path, key))


def _without_id(item: dict[str, Any]) -> str:
    rest = {key: value for key, value in item.items() if key != "id"}
    return json.dumps(rest, sort_keys=True)


def _known_ids(type_name: str, previous: Any) -> dict[str, list[str]]:
    """Return the ids in ``previous`` by the content of their items, last id first."""
    known: dict[str, list[str]] = {}
    for _path, item in _items(type_name, previous):
        if isinstance(item.get("id"), str):
            known.setdefault(_without_id(item), []).insert(0, item["id"])
    return known


def _complete_ids(type_name: str, config: Any, known: dict[str, list[str]]) -> None:
    used = {item["id"] for _path, item in _items(type_name, config) if "id" in item}
    for _place, item in _items(type_name, config):
        if "id" in item:
            continue
        remembered = known.get(_without_id(item), [])
        while remembered and remembered[-1] in used:
            remembered.pop()
        item["id"] = remembered.pop() if remembered else kinds.new_id(ITEM_PREFIX)
        used.add(item["id"])


def _id_faults(type_name: str, config: Config) -> Iterator[Fault]:
    seen: dict[str, Path] = {}
    for path, item in _items(type_name, config):
        first = seen.setdefault(item["id"], path)
        if first != path:
            yield (
                (*path, "id"),
                _("is already the id of %(other)s")
                % {"other": field_labels.place(type_name, first)},
            )


# --- Rules between fields ---------------------------------------------------


Face = Callable[[str], str]
"""Returns the form of a text that is compared."""


def _rule_faults(type_name: str, config: Config, face: Face) -> Iterator[Fault]:
    rule = _RULES.get(type_name)
    if rule is not None:
        yield from rule(config, face)


def _video_faults(config: Config, _face: Face) -> Iterator[Fault]:
    for index, track in enumerate(config.get("captions", ())):
        path: Path = ("captions", index)
        if ("url" in track) == ("cues" in track):
            yield path, _("must have either url or cues, not both")
        for number, cue in enumerate(track.get("cues", ())):
            if cue["end"] <= cue["start"]:
                yield (*path, "cues", number, "end"), _("must be later than start")


def _quiz_faults(config: Config, face: Face) -> Iterator[Fault]:
    for index, question in enumerate(config["questions"]):
        options = question["options"]
        path: Path = ("questions", index, "options")
        if not any(option.get("correct") for option in options):
            yield path, _("must have a correct option")
        faces = [(face(option["text"]), option.get("image", "")) for option in options]
        for number in _repeats(faces):
            yield (*path, number, "text"), _("is the same as an earlier option")


def _matching_faults(config: Config, face: Face) -> Iterator[Fault]:
    pairs = config["pairs"]
    for side in ("left", "right"):
        faces = [(face(pair[side]), pair.get(f"{side}_image", "")) for pair in pairs]
        for number in _repeats(faces):
            yield (
                ("pairs", number, side),
                _(
                    "is the same as in an earlier pair, so students cannot tell them "
                    "apart"
                ),
            )


def _page_faults(type_name: str, config: Config) -> Iterator[Fault]:
    """Yield a fault for a page that shows no single video or has no player."""
    is_video = type_name == "Video"
    key = "source" if is_video else "url"
    page = video_pages.find_video_page(config[key]) if key in config else None
    if page is None or page.player_url:
        return
    if page.site in video_pages.PLAYED_SITES:
        yield (
            (key,),
            _(
                "is a page of %(site)s that does not show a single video: open the "
                "video there and copy its address"
            )
            % {"site": page.site},
        )
    elif is_video:
        yield (
            (key,),
            _(
                "is a page of %(site)s, not a video file: upload the file, or use "
                "YouTube or Vimeo"
            )
            % {"site": page.site},
        )


def _sentence_faults(config: Config, _face: Face) -> Iterator[Fault]:
    for index, sentence in enumerate(config["sentences"]):
        path: Path = ("sentences", index)
        yield from _answer_faults(sentence, (*path, "answer"), sentence["answer"])
        for number, answer in enumerate(sentence.get("also_accepted", ())):
            yield from _answer_faults(
                sentence, (*path, "also_accepted", number), answer
            )


def _answer_faults(
    sentence: dict[str, Any], path: Path, answer: list[str]
) -> Iterator[Fault]:
    missing = Counter(answer) - Counter(sentence["tokens"])
    if missing:
        yield (
            path,
            _("uses words that are not among its tokens: %(words)s")
            % {"words": ", ".join(missing)},
        )


def _fill_in_faults(config: Config, _face: Face) -> Iterator[Fault]:
    for index, question in enumerate(config["questions"]):
        path: Path = ("questions", index)
        gaps, marked = question["gaps"], fill_in.count_gaps(question["prompt"])
        if (marked or 1) != len(gaps):
            yield (
                (*path, "gaps"),
                _(
                    "their number (%(gaps)d) is not that of the gaps in the text "
                    "(%(marked)d): write ___ for each gap, or none for one answer "
                    "below the text"
                )
                % {"gaps": len(gaps), "marked": marked},
            )
        for number, gap in enumerate(gaps):
            yield from _gap_faults(gap, (*path, "gaps", number))


def _gap_faults(gap: dict[str, Any], path: Path) -> Iterator[Fault]:
    answers, is_number = gap["answers"], "tolerance" in gap
    if is_number and gap.get("exact"):
        yield (*path, "exact"), _("is not for numbers, which have a tolerance")
    faces: list[Any] = []
    for number, answer in enumerate(answers):
        place = (*path, "answers", number)
        meanings = fill_in.numbers_in(answer) if is_number else []
        if is_number and len(meanings) != 1:
            yield place, _number_reason(answer, len(meanings))
        elif not is_number and not fold(answer) and not gap.get("exact"):
            yield (
                place,
                _(
                    "has only signs that are ignored: choose to compare letter by letter"
                ),
            )
        same = visible_text if gap.get("exact") else fold
        faces.append(meanings[0] if len(meanings) == 1 else same(answer))
    for number in _repeats(faces):
        yield (*path, "answers", number), _("is the same as an earlier answer")


def _number_reason(answer: str, meanings: int) -> str:
    if meanings:
        return _(
            "“%(answer)s” can be read as two numbers: write it without a separator of "
            "thousands"
        ) % {"answer": answer}
    return _("“%(answer)s” is not a number, but the gap has a numeric tolerance") % {
        "answer": answer
    }


def _interactive_faults(config: Config, _face: Face) -> Iterator[Fault]:
    if ("url" in config) == ("html" in config):
        yield (), _("must have either url or html, not both")
    completion = config.get("completion", {"rule": "opened"})
    if (completion["rule"] == "time") != ("seconds" in completion):
        yield (
            ("completion", "seconds"),
            _("is required with the rule “time” and not allowed with others"),
        )


def _repeats(values: list[Any]) -> Iterator[int]:
    """Yield the indexes of repeated values."""
    seen = set()
    for index, value in enumerate(values):
        if value in seen:
            yield index
        seen.add(value)


_RULES: dict[str, Callable[[Config, Face], Iterator[Fault]]] = {
    "Video": _video_faults,
    "Quiz": _quiz_faults,
    "Matching": _matching_faults,
    "SentenceBuilder": _sentence_faults,
    "FillIn": _fill_in_faults,
    "Interactive": _interactive_faults,
}
