"""The simulated Moodle's rubrics and scales, and what teachers chose."""

from typing import TYPE_CHECKING, Any

from tests.registrar.simulators.moodle_protocol import (
    Refusal,
    escaped,
    formatted,
    function,
    invalid,
    missing,
)

if TYPE_CHECKING:
    from tests.registrar.simulators.moodle import MoodleSimulator as Site

_SYSTEM_CONTEXT = 1
_MODULE_CONTEXTS = 1000
"""The context of course module 7 is 1007."""


def module_place(cm_id: int) -> tuple[int, str, str]:
    return (_MODULE_CONTEXTS + cm_id, "mod_assign", "submissions")


def fill(
    site: "Site", assignment: dict[str, Any], grade_id: int, criteria: list[Any]
) -> float:
    """Store what was chosen; return the grade, as Moodle computes it from the levels."""
    area = site.areas[module_place(assignment["cmid"])]
    definition = area["definition"]
    if definition is None:
        raise invalid()
    rows = {row["id"]: row for row in definition["rubric"]["rubric_criteria"]}
    scores, lowest, highest, chosen = 0.0, 0.0, 0.0, []
    for one in criteria:
        if one["criterionid"] not in rows:
            raise invalid()
        levels = {x["id"]: x["score"] for x in rows[one["criterionid"]]["levels"]}
        [filling] = one["fillings"]
        scores += levels.get(filling.get("levelid"), 0.0)
        lowest, highest = lowest + min(levels.values()), highest + max(levels.values())
        chosen.append({"id": site.number("filling"), "remarkformat": 1, **filling})
    for old in site.fillings:
        if old["itemid"] == grade_id:
            old["status"] = 3  # archived
    site.fillings.append(
        {
            "id": site.number("instance"),
            "raterid": 2,
            "itemid": grade_id,
            "rawgrade": None,
            "feedback": "",
            "status": 1,
            "timemodified": site.now(),
            "rubric": {"criteria": chosen},
            "definition": definition["id"],
        }
    )
    share = (scores - lowest) / (highest - lowest) if highest > lowest else 0.0
    return share * assignment["grade"]


@function(
    "core_grading_get_definitions", cmids=[int], areaname=str, optional_activeonly=bool
)
def get_definitions(site: "Site", cmids: list[int], areaname: str) -> dict[str, Any]:
    found = []
    for cm_id in cmids:
        place = module_place(cm_id)
        if place not in site.areas or areaname != place[2]:
            raise missing("invalidcoursemodule")
        area = site.areas[place]
        row = {"cmid": cm_id, "contextid": place[0], "component": place[1]}
        row |= {"areaname": areaname, "activemethod": area["activemethod"] or None}
        known = area["definition"]
        row["definitions"] = [_shown_definition(known)] if known else []
        found.append(row)
    return {"areas": found, "warnings": []}


def _shown_definition(definition: dict[str, Any]) -> dict[str, Any]:
    rows = [
        row
        | {"description": formatted(row["description"], row["descriptionformat"])}
        | {"levels": [_shown_level(level) for level in row["levels"]]}
        for row in definition["rubric"]["rubric_criteria"]
    ]
    return {**definition, "rubric": {"rubric_criteria": rows}}


def _shown_level(level: dict[str, Any]) -> dict[str, Any]:
    shown = formatted(level["definition"], level["definitionformat"])
    return {**level, "definition": shown}


_LEVEL = {"id?": int, "score?": float, "definition?": str, "definitionformat?": int}
_CRITERION = {
    "id?": int,
    "sortorder?": int,
    "description?": str,
    "descriptionformat?": int,
    "levels?": [_LEVEL],
}
_DEFINITION = {
    "id?": int,
    "method": str,
    "name": str,
    "description?": str,
    "status": int,
    "descriptionformat?": int,
    "timecreated": int,
    "usercreated": int,
    "timemodified": int,
    "usermodified": int,
    "rubric?": {"rubric_criteria?": [_CRITERION]},
}


@function(
    "core_grading_save_definitions",
    areas=[
        {
            "cmid": int,
            "contextid": int,
            "component": str,
            "areaname": str,
            "activemethod?": str,
            "definitions": [_DEFINITION],
        }
    ],
)
def save_definitions(site: "Site", areas: list[dict[str, Any]]) -> None:
    for row in areas:
        place = (row["contextid"], row["component"], row["areaname"])
        if place not in site.areas and row["contextid"] != _SYSTEM_CONTEXT:
            raise missing()
        area = site.areas.setdefault(place, {"activemethod": "", "definition": None})
        area["activemethod"] = row.get("activemethod", "")
        for definition in row["definitions"]:
            if definition["method"] != "rubric":
                raise invalid()
            save_definition(site, place, definition)


def save_definition(
    site: "Site", place: tuple[int, str, str], definition: dict[str, Any]
) -> None:
    """Change the area's definition: rows without an id of it are new, others replaced."""
    area = site.areas[place]
    old = area["definition"] or {"rubric": {"rubric_criteria": []}}
    known = {row["id"]: row for row in old["rubric"]["rubric_criteria"]}
    rows = []
    for row in definition.get("rubric", {}).get("rubric_criteria", []):
        before = known.get(row.get("id"))
        levels = {level["id"] for level in before["levels"]} if before else set()
        rows.append(
            {
                "descriptionformat": 1,
                **row,
                "id": row["id"] if before else site.number("criterion"),
                "levels": [
                    {
                        "definitionformat": 1,
                        **level,
                        "id": level["id"]
                        if level.get("id") in levels
                        else site.number("level"),
                    }
                    for level in row.get("levels", [])
                ],
            }
        )
    area["definition"] = {
        **definition,
        "id": old.get("id") or site.number("definition"),
        "rubric": {"rubric_criteria": rows},
    }


@function(
    "core_grading_get_gradingform_instances", definitionid=int, optional_since=int
)
def get_instances(site: "Site", definitionid: int, since: int = 0) -> dict[str, Any]:
    known = {a["definition"]["id"] for a in site.areas.values() if a["definition"]}
    if definitionid not in known:
        raise missing()
    rows = [
        {k: v for k, v in row.items() if k != "definition"}
        | {"rubric": {"criteria": [*map(_shown_filling, row["rubric"]["criteria"])]}}
        for row in site.fillings
        if row["definition"] == definitionid and row["timemodified"] >= since
    ]
    return {"instances": rows, "warnings": []}


def _shown_filling(filling: dict[str, Any]) -> dict[str, Any]:
    return {**filling, "remark": formatted(filling.get("remark", ""), 1)}


@function("core_competency_get_scale_values", scaleid=int)
def scale_values(site: "Site", scaleid: int) -> list[dict[str, Any]]:
    if scaleid not in site.scales:
        raise Refusal("Error", "")
    return [
        {"id": at, "name": escaped(name)}
        for at, name in enumerate(site.scales[scaleid], start=1)
    ]
