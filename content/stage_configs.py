"""What a stage's ``config`` must be, and making one ready to store.

The schemas of `content.stage_types` say most of it; the few rules between fields
that a schema cannot say stand below, one function per type.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import jsonschema_rs
import nh3
from django.utils.translation import gettext as _

from content import kinds
from content.fields import CanonicalJSONEncoder
from content.json_faults import (
    Fault,
    Path,
    make_validator,
    path_text,
    schema_faults,
)
from content.stage_types import SCHEMAS

Config = dict[str, Any]
Absolute = Callable[[str], str]
"""What gives a path on this site, such as ``/media/a.png``, its host."""

ITEM_PREFIX = "ITEM"
RESERVED_KEYS = frozenset({"signed_url", "expires_at"})
"""Publishing writes these into a video's config; editors never do (DESIGN 4)."""


class ConfigError(ValueError):
    """A config that cannot be stored; ``faults`` lists every reason.

    Each is ``(path, reason)``, the path from the config itself.
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


def clean_config(
    type_name: str, config: Any, *, previous: Config | None = None
) -> Config:
    """``config`` ready to store: item ids complete, HTML sanitised, and valid.

    Args:
        previous: the config stored so far. An item that has no id but is otherwise
            the same keeps the id it had there.

    Raises:
        ConfigError: with every fault, unless the type itself is unknown.
    """
    if type_name not in SCHEMAS:
        raise ConfigError([((), _("there is no stage type “%s”") % type_name)])
    schema = SCHEMAS[type_name]
    cleaned = _sanitised(schema, config)
    _complete_ids(schema, cleaned, _known_ids(schema, previous))
    if faults := find_faults(type_name, cleaned):
        raise ConfigError(faults)
    return cleaned  # type: ignore[no-any-return]


def find_faults(type_name: str, config: Any, *, published: bool = False) -> list[Fault]:
    """Why ``config`` may not be stored as it is; empty when it may.

    Args:
        published: as a document has it (`for_readers`).

    Raises:
        KeyError: there is no such type.
    """
    if found := [*_schema_faults(type_name, config, published=published)]:
        return found
    return [*_id_faults(type_name, config), *_rule_faults(type_name, config)]


def sanitise(type_name: str, config: Config) -> Config:
    """``config`` with every HTML field sanitised; nothing else changes. Idempotent.

    Raises:
        KeyError: there is no such type.
    """
    return _sanitised(SCHEMAS[type_name], config)  # type: ignore[no-any-return]


def for_readers(type_name: str, text: str, absolute: Absolute) -> str:
    """A stored config's text as students' devices may be given it.

    Its HTML is sanitised once more, by today's rules. Addresses on this site, in
    picture fields and in HTML, become ``absolute``: a reader has the document from
    somewhere else. Text with neither stays what it is, unread.
    """
    if type_name not in SCHEMAS or ("<" not in text and '"/' not in text):
        return text
    config = _sanitised(SCHEMAS[type_name], json.loads(text), absolute)
    return json.dumps(config, cls=CanonicalJSONEncoder)


def with_new_ids(type_name: str, config: Config) -> Config:
    """A copy of a stored config whose items are new ones: no card follows them."""
    copied: Config = json.loads(json.dumps(config))
    for _path, item in _items(SCHEMAS.get(type_name, {}), copied):
        item["id"] = kinds.new_id(ITEM_PREFIX)
    return copied


def reviewable_items(type_name: str, config: Config) -> list[str]:
    """The ids of what can be reviewed in a stored config, in order."""
    schema = SCHEMAS.get(type_name, {})
    return [item["id"] for _path, item in _items(schema, config) if item.get("id")]


# --- JSON Schema ------------------------------------------------------------


_PUBLISHED_PICTURE = r"^https?://[^\s\\<>\"]+$"
"""Absolute; a development server's own address has no TLS."""


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
            yield path, _("is written when publishing: leave it out")
        else:
            yield path, reason


# --- Items that can be reviewed ---------------------------------------------


def _items(
    schema: Mapping[str, Any], value: Any, path: Path = ()
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The objects in ``value`` that the schema gives an item id, in order."""
    if isinstance(value, list):
        for index, element in enumerate(value):
            yield from _items(schema.get("items", {}), element, (*path, index))
    elif isinstance(value, dict):
        properties: Mapping[str, Any] = schema.get("properties", {})
        if properties.get("id", {}).get("x-item-id"):
            yield path, value
        for key, inner in properties.items():
            if key in value:
                yield from _items(inner, value[key], (*path, key))


def _without_id(item: dict[str, Any]) -> str:
    rest = {key: value for key, value in item.items() if key != "id"}
    return json.dumps(rest, sort_keys=True)


def _known_ids(schema: Mapping[str, Any], previous: Any) -> dict[str, list[str]]:
    """The ids ``previous`` gave, by the content of their items, first one last."""
    known: dict[str, list[str]] = {}
    for _path, item in _items(schema, previous):
        if isinstance(item.get("id"), str):
            known.setdefault(_without_id(item), []).insert(0, item["id"])
    return known


def _complete_ids(
    schema: Mapping[str, Any], config: Any, known: dict[str, list[str]]
) -> None:
    taken = {item["id"] for _path, item in _items(schema, config) if "id" in item}
    for _place, item in _items(schema, config):
        if "id" in item:
            continue
        remembered = known.get(_without_id(item), [])
        while remembered and remembered[-1] in taken:
            remembered.pop()
        item["id"] = remembered.pop() if remembered else kinds.new_id(ITEM_PREFIX)
        taken.add(item["id"])


_TYPES_WITH_ITEMS = frozenset(
    name for name, schema in SCHEMAS.items() if '"x-item-id"' in json.dumps(schema)
)


def _id_faults(type_name: str, config: Config) -> Iterator[Fault]:
    if type_name not in _TYPES_WITH_ITEMS:
        return
    seen: dict[str, Path] = {}
    for path, item in _items(SCHEMAS[type_name], config):
        first = seen.setdefault(item["id"], path)
        if first != path:
            yield (
                (*path, "id"),
                _("is the id of %(other)s already")
                % {"other": path_text(("config", *first))},
            )


# --- HTML -------------------------------------------------------------------


def _conditions(
    schema: Any,
) -> Iterator[tuple[int, jsonschema_rs.Draft202012Validator]]:
    """Every ``if`` within ``schema``, compiled, by the identity of what holds it."""
    if isinstance(schema, dict):
        if "if" in schema:
            yield id(schema), make_validator(schema["if"])
        for inner in schema.values():
            yield from _conditions(inner)


_CONDITIONS = dict(_conditions(dict(SCHEMAS)))

_EVERYWHERE = {"dir", "lang", "title"}
_ALLOWED: dict[str, Any] = {
    "attributes": {**nh3.ALLOWED_ATTRIBUTES, "*": _EVERYWHERE},
    "url_schemes": {"https", "http", "mailto", "tel"},
}
_ALLOWED_TO_EMBED: dict[str, Any] = {
    "tags": {*nh3.ALLOWED_TAGS, "iframe"},
    "attributes": {
        **nh3.ALLOWED_ATTRIBUTES,
        "*": _EVERYWHERE,
        "iframe": {"src", "width", "height", "allow", "allowfullscreen", "loading"},
    },
    "url_schemes": {"https"},
}
_CLEANER = nh3.Cleaner(**_ALLOWED)
_EMBED_CLEANER = nh3.Cleaner(**_ALLOWED_TO_EMBED)


def _sanitised(
    schema: Mapping[str, Any], value: Any, absolute: Absolute | None = None
) -> Any:
    """A copy of ``value`` as deep as the schema goes, its HTML sanitised.

    With ``absolute``, addresses on this site are what it makes of them.
    """
    if isinstance(value, list) and "items" in schema:
        return [_sanitised(schema["items"], element, absolute) for element in value]
    if isinstance(value, dict) and "properties" in schema:
        properties = _properties(schema, value)
        return {
            key: _sanitised(properties.get(key, {}), inner, absolute)
            for key, inner in value.items()
        }
    if not isinstance(value, str):
        return value
    if schema.get("contentMediaType") == "text/html":
        return _clean_html(value, bool(schema.get("x-embed")), absolute)
    if absolute and schema.get("x-widget") == "image" and _is_here(value):
        return absolute(value)
    return value


def _clean_html(html: str, embed: bool, absolute: Absolute | None) -> str:
    clean = (_EMBED_CLEANER if embed else _CLEANER).clean(html)
    if absolute is None or '="/' not in clean:
        return clean
    return nh3.clean(
        clean,
        url_relative=lambda url: absolute(url) if _is_here(url) else url,
        **(_ALLOWED_TO_EMBED if embed else _ALLOWED),
    )


def _is_here(url: str) -> bool:
    """Whether an address is a path on this site."""
    return url.startswith("/") and not url.startswith("//")


def _properties(schema: Mapping[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """The schema's properties, with what its ``then`` says where its ``if`` holds."""
    properties: dict[str, Any] = schema.get("properties", {})
    condition = _CONDITIONS.get(id(schema))
    if condition is not None and condition.is_valid(value):
        extra = schema["then"]["properties"]
        properties = {
            key: {**inner, **extra.get(key, {})} for key, inner in properties.items()
        }
    return properties


# --- Rules between fields ---------------------------------------------------


def _rule_faults(type_name: str, config: Config) -> Iterator[Fault]:
    rule = _RULES.get(type_name)
    if rule is not None:
        yield from rule(config)


def _video_faults(config: Config) -> Iterator[Fault]:
    for index, track in enumerate(config.get("captions", ())):
        path: Path = ("captions", index)
        if ("url" in track) == ("cues" in track):
            yield path, _("needs either url or cues, and not both")
        for number, cue in enumerate(track.get("cues", ())):
            if cue["end"] <= cue["start"]:
                yield (*path, "cues", number, "end"), _("must be later than start")


def _quiz_faults(config: Config) -> Iterator[Fault]:
    for index, question in enumerate(config["questions"]):
        options = question["options"]
        path: Path = ("questions", index, "options")
        if not any(option.get("correct") for option in options):
            yield path, _("must have a correct option")
        for number in _repeats([_option_face(option) for option in options]):
            yield (*path, number, "text"), _("is the same as an option before it")


def _option_face(option: dict[str, Any]) -> tuple[str, str]:
    return option["text"], option.get("image", "")


def _matching_faults(config: Config) -> Iterator[Fault]:
    pairs = config["pairs"]
    for side in ("left", "right"):
        faces = [(pair[side], pair.get(f"{side}_image", "")) for pair in pairs]
        for number in _repeats(faces):
            yield (
                ("pairs", number, side),
                _(
                    "is the same as in a pair before it, so nobody could tell them apart"
                ),
            )


def _sentence_faults(config: Config) -> Iterator[Fault]:
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


def _interactive_faults(config: Config) -> Iterator[Fault]:
    if ("url" in config) == ("html" in config):
        yield (), _("needs either url or html, and not both")
    completion = config.get("completion", {"rule": "opened"})
    if (completion["rule"] == "time") != ("seconds" in completion):
        yield (
            ("completion", "seconds"),
            _("goes with the rule “time”, and only with it"),
        )


def _repeats(values: list[Any]) -> Iterator[int]:
    """The places of values that came before."""
    seen = set()
    for index, value in enumerate(values):
        if value in seen:
            yield index
        seen.add(value)


_RULES: dict[str, Callable[[Config], Iterator[Fault]]] = {
    "Video": _video_faults,
    "Quiz": _quiz_faults,
    "Matching": _matching_faults,
    "SentenceBuilder": _sentence_faults,
    "Interactive": _interactive_faults,
}
