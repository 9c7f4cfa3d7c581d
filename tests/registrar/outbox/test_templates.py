"""Each unit has one template in Moodle with its criteria (D9)."""

import json

import pytest

from registrar import btec_templates, tasks
from registrar.effects import handlers
from registrar.inbox import verifiers
from registrar.models import Effect, Template, Unit
from registrar.moodle import mzi, rubrics
from registrar.sources import ZohoSource
from tests.registrar.outbox.test_whole_path import KEY
from tests.registrar.simulators.server import Response

UNITS = "BTEC_Units"
SAVE = "core_grading_save_definitions"


class Killed(BaseException):
    pass


@pytest.fixture
def unit(school) -> str:
    return school.add(
        UNITS,
        Name="Networks",
        Unit_Code="U1",
        P1_description="يشرح",
        P2_description="Describe a < b",
        M1_description="يقارن",
        D1_description="يقيّم",
    )


def published(school, unit: str) -> list[dict]:
    """The shared rubrics of a unit."""
    return [
        area["definition"]
        for (_context, component, name), area in school.moodle.areas.items()
        if component == "core_grading" and name == f"unit{unit}"
    ]


def descriptions(definition: dict) -> list[str]:
    return [row["description"] for row in definition["rubric"]["rubric_criteria"]]


def saves(school) -> int:
    return sum(one.form.get("wsfunction") == SAVE for one in school.moodle.requests)


def state_of(unit: str) -> str:
    return btec_templates.with_state(Template.objects.all()).get(zoho_id=unit).state


def test_a_unit_becomes_a_shared_rubric_with_its_criteria_in_order(
    school, unit, settings
):
    settings.LANGUAGE_CODE = "en"
    school.run()
    [definition] = published(school, unit)
    assert definition["name"] == "U1 Networks"
    assert descriptions(definition) == [
        *("P1 يشرح", "P2 Describe a < b", "M1 يقارن", "D1 يقيّم")
    ]
    levels = definition["rubric"]["rubric_criteria"][0]["levels"]
    assert [(one["score"], one["definition"]) for one in levels] == [
        *((0.0, "Not achieved"), (1.0, "Achieved"))
    ]
    row = Unit.objects.get()
    assert (state_of(unit), bool(row.template_synced_at)) == ("published", True)


def test_criteria_after_the_ninth_come_after_it(school):
    texts = {f"P{number}_description": str(number) for number in (10, 2, 1)}
    unit = school.add(UNITS, Name="U", **texts)
    school.run()
    assert descriptions(published(school, unit)[0]) == ["P1 1", "P2 2", "P10 10"]


def test_an_unchanged_unit_does_nothing(school, unit):
    school.run()
    at = Unit.objects.get().template_synced_at
    btec_templates.sync(Template.objects.all())
    assert state_of(unit) == "waiting"
    school.run()
    assert saves(school) == 1
    assert Unit.objects.get().template_synced_at == at
    assert Effect.objects.get().result == "The template is up to date."
    assert state_of(unit) == "published"


def test_a_changed_unit_changes_its_one_definition(school, unit):
    school.run()
    [before] = published(school, unit)
    school.change(UNITS, unit, P2_description=None, M2_description="يحلل")
    school.run()
    [after] = published(school, unit)
    assert after["id"] == before["id"]
    assert descriptions(after) == ["P1 يشرح", "M1 يقارن", "M2 يحلل", "D1 يقيّم"]


def test_publishing_again_leaves_one_definition(school, unit):
    school.run()
    school.moodle.areas.clear()
    btec_templates.sync(Template.objects.all(), again=True)
    school.run()
    assert len(published(school, unit)) == 1
    btec_templates.sync(Template.objects.all(), again=True)
    school.run()
    assert len(published(school, unit)) == 1
    assert saves(school) == 3


def test_a_site_with_the_btec_form_gets_that_form(school, unit):
    school.moodle.plugin = True
    school.run()
    assert published(school, unit) == []
    [definition] = school.moodle.plugin_records["definition"].values()
    assert definition["name"] == "U1 Networks"
    assert [(one["shortname"], one["level"]) for one in definition["criteria"]] == [
        *(("P1", 1), ("P2", 1), ("M1", 2), ("D1", 3))
    ]
    number = definition["id"]
    btec_templates.sync(Template.objects.all(), again=True)
    school.run()
    [definition] = school.moodle.plugin_records["definition"].values()
    assert definition["id"] == number


def test_a_unit_without_criteria_is_not_published(school):
    unit = school.add(UNITS, Name="Empty")
    school.run()
    assert (state_of(unit), saves(school)) == ("not_published", 0)
    assert "no criteria in Zoho" in Effect.objects.get().result
    school.change(UNITS, unit, P1_description="Now")
    school.run()
    assert (state_of(unit), saves(school)) == ("published", 1)


def test_a_unit_that_loses_its_criteria_keeps_its_template(school, unit):
    school.run()
    names = ("P1", "P2", "M1", "D1")
    school.change(UNITS, unit, **{f"{one}_description": None for one in names})
    school.run()
    assert len(descriptions(published(school, unit)[0])) == 4


def test_a_deleted_unit_keeps_its_template_and_is_restored_without_a_write(
    school, unit
):
    school.run()
    record = dict(school.zoho.store.records[UNITS][unit])
    school.delete(UNITS, unit)
    school.run()
    assert (len(published(school, unit)), state_of(unit)) == (1, "deleted")
    school.zoho.store.records[UNITS][unit] = record
    school.mirror(UNITS, unit)
    school.run()
    assert (saves(school), state_of(unit)) == (1, "published")


def test_a_site_without_the_function_says_so_until_it_has_it(school, unit):
    school.moodle.withheld.add(SAVE)
    school.run()
    assert state_of(unit) == "not_published"
    assert SAVE in Effect.objects.get().result
    school.moodle.withheld.clear()
    school.site.moodle._info = None
    btec_templates.sync(Template.objects.all())
    school.run()
    assert state_of(unit) == "published"


@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
def test_a_lost_answer_leaves_one_definition(school, unit, fault):
    school.moodle.fail(fault, matches=lambda one: one.form.get("wsfunction") == SAVE)
    school.run()
    assert state_of(unit) == "waiting"
    school.run_later()
    assert (len(published(school, unit)), state_of(unit)) == (1, "published")


def test_a_refusal_is_shown_and_a_synchronisation_tries_again(school, unit):
    school.moodle.fail(
        "status",
        matches=lambda one: one.form.get("wsfunction") == SAVE,
        response=refusal("nopermissions_x"),
    )
    school.run()
    assert state_of(unit) == "failed"
    assert "nopermissions_x" in Effect.objects.get().last_error
    btec_templates.sync(Template.objects.all())
    school.run()
    assert state_of(unit) == "published"


def refusal(code: str):
    return Response({"exception": "x", "errorcode": code, "message": code})


@pytest.mark.parametrize("plugin", [False, True])
@pytest.mark.parametrize("is_done", [False, True])
def test_killed_while_it_publishes_nothing_is_there_twice(
    school, unit, monkeypatch, plugin, is_done
):
    school.moodle.plugin = plugin
    where, name = (mzi, "save_btec_definition") if plugin else (rubrics, "save_shared")
    real = getattr(where, name)

    def die(*args, **kwargs):
        if is_done:
            real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(where, name, die)
    with pytest.raises(Killed):
        school.run()
    monkeypatch.undo()
    school.run_later()
    stored = school.moodle.plugin_records.get("definition", {})
    assert len(published(school, unit)) + len(stored) == 1
    assert state_of(unit) == "published"


def test_a_change_taken_back_after_a_kill_is_published(school, unit, monkeypatch):
    school.run()
    school.change(UNITS, unit, P1_description="Other")
    real = rubrics.save_shared

    def publish_and_die(*args, **kwargs):
        real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(rubrics, "save_shared", publish_and_die)
    with pytest.raises(Killed):
        school.run()
    monkeypatch.undo()
    assert "P1 Other" in descriptions(published(school, unit)[0])
    school.change(UNITS, unit, P1_description="يشرح")
    school.run_later()
    assert "P1 يشرح" in descriptions(published(school, unit)[0])


def test_a_criterion_that_is_no_text_is_a_conflict_and_keeps_its_text(school, unit):
    record = school.zoho.store.records[UNITS][unit]
    record["P1_description"] = {"not": "a text"}
    school.mirror(UNITS, unit)
    row = Unit.objects.get()
    assert (row.has_conflict, row.criteria["P1"]) == (True, "يشرح")


@pytest.fixture
def connected(school, monkeypatch, settings):
    """The tasks use the simulators; webhooks are accepted."""
    settings.REGISTRAR_HEADER_KEYS = [KEY]
    source = ZohoSource(school.site.zoho)
    monkeypatch.setattr("registrar.sources.current", lambda: source)
    monkeypatch.setattr(handlers, "site", lambda: school.site)
    return school


def sync_by_webhook(client) -> None:
    answer = client.post(
        "/api/v1/btec-templates/sync/",
        json.dumps({}),
        "application/json",
        headers={verifiers.KEY_HEADER: KEY},
    )
    assert answer.status_code == 200


def test_the_webhook_publishes_the_templates_of_units_that_were_never_read(
    connected, client, django_capture_on_commit_callbacks
):
    record = connected.zoho.store.insert(
        UNITS, {"Name": "New", "P1_description": "Describe"}
    )
    with django_capture_on_commit_callbacks(execute=True):
        sync_by_webhook(client)
    assert descriptions(published(connected, record["id"])[0]) == ["P1 Describe"]


def test_the_webhook_tries_failed_templates_again(
    connected, unit, client, django_capture_on_commit_callbacks
):
    connected.run()
    Unit.objects.update(pushed_version=0, template_hash="")
    Effect.objects.update(state="dead", last_error="Moodle refuses it.")
    with django_capture_on_commit_callbacks(execute=True):
        sync_by_webhook(client)
    tasks.send_effects()
    assert (state_of(unit), saves(connected)) == ("published", 2)
