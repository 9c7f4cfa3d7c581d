"""Rubrics: advanced grading of assignments by criteria and levels.

Saving a rubric without the ids of its criteria replaces them, and the grades given with
the old ones lose their criteria. So `save` keeps the ids of criteria and levels that
stay. An area has one definition: saving again changes it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from registrar.moodle.client import MoodleClient
from registrar.moodle.texts import plain

READY = 20
"""The status of a definition that teachers can grade with."""
SYSTEM_CONTEXT = 1
_SAVE = "core_grading_save_definitions"
_PLAIN = 2
"""The format of texts without HTML: a ``<`` is kept."""
_COUNTING = {1, 2}
"""The status of a filled form that counts: active, or made before the rubric changed."""


@dataclass(frozen=True, slots=True)
class Level:
    score: float
    definition: str
    id: int = 0


@dataclass(frozen=True, slots=True)
class Criterion:
    """A criterion; its ``description`` begins with its short name, such as ``P1``."""

    description: str
    levels: tuple[Level, ...]
    id: int = 0

    @property
    def short_name(self) -> str:
        """The first word of the description, by which the criterion is recognised."""
        return (
            self.description.split(maxsplit=1)[0].rstrip(".:،")
            if self.description
            else ""
        )


@dataclass(frozen=True, slots=True)
class GradingArea:
    """How an assignment is graded. ``method`` is ``rubric``, another form, or "".

    ``definition_id`` is 0 and ``criteria`` empty without a rubric.
    """

    cm_id: int
    context_id: int
    method: str
    definition_id: int = 0
    criteria: tuple[Criterion, ...] = ()


@dataclass(frozen=True, slots=True)
class Filling:
    """What a teacher chose for one criterion; ``grade_id`` is `assignments.Grade.id`."""

    grade_id: int
    criterion_id: int
    level_id: int
    remark: str


def area(client: MoodleClient, *, cm_id: int) -> GradingArea:
    """Return how the submissions of an assignment are graded.

    Raises:
        PeerRefusedError: ``invalidcoursemodule``: there is no such assignment.
    """
    found = client.read(
        "core_grading_get_definitions", cmids=[cm_id], areaname="submissions"
    )
    row = found["areas"][0]
    rubric = next((d for d in row["definitions"] if d["method"] == "rubric"), None)
    return GradingArea(
        cm_id=cm_id,
        context_id=int(row["contextid"]),
        method=str(row.get("activemethod") or ""),
        definition_id=int(rubric["id"]) if rubric else 0,
        criteria=tuple(map(_criterion, _criteria_rows(rubric))) if rubric else (),
    )


def save(
    client: MoodleClient, *, cm_id: int, name: str, criteria: Sequence[Criterion]
) -> None:
    """Grade an assignment by a rubric with ``criteria``; their ids are ignored.

    Criteria are recognised by their short names, levels by their scores.
    """
    current = area(client, cm_id=cm_id)
    known = {one.short_name: one for one in current.criteria}
    rows = [
        _criterion_row(one, at, known.get(one.short_name))
        for at, one in enumerate(criteria, start=1)
    ]
    _save(
        client,
        {"cmid": cm_id, "contextid": current.context_id, "component": "mod_assign"}
        | {"areaname": "submissions"},
        name=name,
        rows=rows,
        definition_id=current.definition_id,
    )


def offers_saving(client: MoodleClient) -> bool:
    """Return whether the token's user may save rubrics on this site."""
    return client.offers(_SAVE)


def save_shared(
    client: MoodleClient, *, key: str, name: str, criteria: Sequence[Criterion]
) -> None:
    """Publish a rubric for teachers to copy into assignments.

    Args:
        key: at most 100 characters; names the rubric. Saving again with the same key
            replaces it; copies in assignments stay as they are.
    """
    rows = [_criterion_row(one, at, None) for at, one in enumerate(criteria, start=1)]
    place = {"cmid": 0, "contextid": SYSTEM_CONTEXT, "component": "core_grading"}
    _save(client, place | {"areaname": key}, name=name, rows=rows, definition_id=0)


def fillings(
    client: MoodleClient, *, definition_id: int, since: int = 0
) -> list[Filling]:
    """Return what teachers chose in all attempts since a Unix time.

    Raises:
        PeerRefusedError: ``invalidrecord``: there is no such definition.
    """
    found = client.read(
        "core_grading_get_gradingform_instances",
        definitionid=definition_id,
        since=since,
    )
    return [
        Filling(
            grade_id=int(instance["itemid"]),
            criterion_id=int(row["criterionid"]),
            level_id=int(row.get("levelid") or 0),
            remark=plain(str(row.get("remark") or "")),
        )
        for instance in found["instances"]
        if int(instance["status"]) in _COUNTING
        for row in instance.get("rubric", {}).get("criteria", ())
    ]


def _save(
    client: MoodleClient,
    place: dict[str, Any],
    *,
    name: str,
    rows: list[dict[str, Any]],
    definition_id: int,
) -> None:
    now = int(time.time())
    user = client.info().user_id
    definition = {
        "id": definition_id or None,
        "method": "rubric",
        "name": name,
        "description": "",
        "status": READY,
        "timecreated": now,
        "usercreated": user,
        "timemodified": now,
        "usermodified": user,
        "rubric": {"rubric_criteria": rows},
    }
    saved = {**place, "activemethod": "rubric", "definitions": [definition]}
    client.write(_SAVE, areas=[saved])


def _criterion_row(
    criterion: Criterion, at: int, known: Criterion | None
) -> dict[str, Any]:
    levels = {level.score: level.id for level in known.levels} if known else {}
    return {
        "id": known.id if known else None,
        "sortorder": at,
        "description": criterion.description,
        "descriptionformat": _PLAIN,
        "levels": [
            {
                "id": levels.get(level.score),
                "score": level.score,
                "definition": level.definition,
                "definitionformat": _PLAIN,
            }
            for level in criterion.levels
        ],
    }


def _criteria_rows(rubric: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = rubric.get("rubric", {}).get("rubric_criteria", [])
    return sorted(rows, key=lambda row: int(row.get("sortorder", 0)))


def _criterion(row: dict[str, Any]) -> Criterion:
    return Criterion(
        description=plain(str(row["description"])),
        levels=tuple(
            Level(
                float(level["score"]),
                plain(str(level["definition"])),
                int(level["id"]),
            )
            for level in row["levels"]
        ),
        id=int(row["id"]),
    )
