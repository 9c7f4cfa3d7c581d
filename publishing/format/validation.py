"""Refuse invalid documents: schema violations and progress bits with two owners."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
from django.utils.translation import gettext as _

from content import stage_configs
from content.json_errors import make_validator, path_text, schema_faults
from content.stage_types import SCHEMAS
from plans.access import PlanNode, lessons
from publishing.format.versioning import BuiltDocument

SCHEMA_FOLDER = Path(__file__).parent.parent / "schemas"


class InvalidDocumentError(Exception):
    """A document that may not be published; the message names it and the fault."""

    def __init__(self, document: str, json_path: str, reason: str) -> None:
        super().__init__(
            _("%(document)s is not valid at %(path)s: %(reason)s")
            % {"document": document, "path": json_path, "reason": reason}
        )
        self.document = document
        self.json_path = json_path


@cache
def _compiled(name: str) -> tuple[jsonschema_rs.Draft202012Validator, dict[str, Any]]:
    """Return a schema and its validator, compiled once per process."""
    schema = orjson.loads((SCHEMA_FOLDER / f"{name}.schema.json").read_text())
    return make_validator(schema), schema


def validate_documents(documents: Iterable[BuiltDocument]) -> None:
    """Validate the bytes that will be written; stop at the first fault.

    Raises:
        InvalidDocumentError: names the document and the JSON path.
    """
    for document in documents:
        content = orjson.loads(document.data)
        for path, reason in schema_faults(*_compiled(document.schema), content):
            raise InvalidDocumentError(
                document.path, path_text(path) or "$", reason[:500]
            )
        if document.schema == "lesson":
            _require_valid_stages(document.path, content["stages"])


def _require_valid_stages(document: str, stages: list[dict[str, Any]]) -> None:
    """Validate each stage's config against the schema of its type.

    Raises:
        InvalidDocumentError: names the document and the path within it.
    """
    for index, stage in enumerate(stages):
        where = ("stages", index)
        if stage["type"] not in SCHEMAS:
            reason = _("there is no stage type “%s”") % stage["type"]
            raise InvalidDocumentError(document, path_text((*where, "type")), reason)
        config = stage["config"]
        if not stage_configs.RESERVED_KEYS.isdisjoint(config):
            config = {
                key: value
                for key, value in config.items()
                if key not in stage_configs.RESERVED_KEYS
            }
        for path, reason in stage_configs.find_faults(
            stage["type"], config, published=True
        ):
            raise InvalidDocumentError(
                document, path_text((*where, "config", *path)), reason
            )


class BitConflictError(InvalidDocumentError):
    """Two lessons share a progress bit, or one has an earlier lesson's bit."""


def validate_progress_bits(
    path: str, root: PlanNode, owners: Mapping[int, str]
) -> None:
    """Refuse a lesson without a bit, or with another lesson's bit.

    ``owners`` are the lessons of the bits in the current release.

    Raises:
        BitConflictError: names ``path`` and both lessons.
    """
    taken: dict[int, str] = {}
    for lesson in lessons(root):
        bit = lesson.source.bit_index
        where = f"mappings.{lesson.id}.bit_index"
        if bit is None:
            raise BitConflictError(path, where, _("the lesson has no progress bit"))
        owner = taken.setdefault(bit, lesson.id)
        if owner == lesson.id:
            owner = owners.get(bit, lesson.id)
        if owner != lesson.id:
            raise BitConflictError(
                path,
                where,
                _("bit %(bit)d belongs to the lesson %(owner)s")
                % {"bit": bit, "owner": owner},
            )
