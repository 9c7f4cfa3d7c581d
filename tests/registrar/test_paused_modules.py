"""Staff switch a module off: it is neither read nor sent, and nothing is lost."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from players import roles
from registrar import faults, tasks
from registrar.inbox import processing
from registrar.models import Effect, Hint, RegistrarSettings
from registrar.outbox import running
from tests.admin_fixtures import client_of, staff  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db

STUDENTS, PROGRAMS = "BTEC_Students", "Products"


class Source:
    """A CRM without records, which notes what is asked of it."""

    def __init__(self):
        self.asked = []

    def get_many(self, *, module, ids):
        self.asked.append(module)
        return {}

    def get(self, *, module, record_id):
        return None

    def pages(self, *, module, since=None):
        self.asked.append(module)
        return iter(())

    def deleted(self, *, module, since):
        return iter(())


def pause(*modules):
    RegistrarSettings.objects.update_or_create(
        pk=1, defaults={"paused_modules": list(modules)}
    )


def make(model, module, **values):
    now = timezone.now() - timedelta(hours=9)
    return model.objects.create(
        module=module, record_id="7", created_at=now, due_at=now, **values
    )


def test_hints_of_a_module_that_is_off_wait_and_are_read_when_it_is_on():
    waiting = make(Hint, STUDENTS, operation="changed")
    make(Hint, PROGRAMS, operation="changed")
    pause(STUDENTS)
    source = Source()
    assert processing.process(source=source).tried == 1
    assert source.asked == [PROGRAMS]
    pause()
    assert processing.process(source=source).tried == 1
    waiting.refresh_from_db()
    assert waiting.state == "done"


def test_effects_of_a_module_that_is_off_wait_and_are_sent_when_it_is_on():
    for module in (STUDENTS, PROGRAMS):
        make(Effect, module, kind="record", peer="moodle", version=1, key=module)
    pause(STUDENTS)
    sent = []
    handlers = {"record": lambda effect: sent.append(effect.module) or "sent"}
    running.run(handlers=handlers)
    assert sent == [PROGRAMS]
    pause()
    running.run(handlers=handlers)
    assert sent == [PROGRAMS, STUDENTS]


@pytest.mark.parametrize("task", [tasks.read_changes, tasks.reconcile])
def test_the_tasks_read_no_module_that_is_off(monkeypatch, task):
    source = Source()
    monkeypatch.setattr(tasks.sources, "current", lambda: source)
    pause(STUDENTS)
    task()
    assert PROGRAMS in source.asked
    assert STUDENTS not in source.asked


def test_what_waits_for_a_module_that_is_off_is_not_late():
    make(Hint, STUDENTS, operation="changed")
    now = timezone.now()
    assert [one.key for one in faults.load(now).faults] == ["inbox_late"]
    pause(STUDENTS)
    (fault,) = faults.load(now).faults
    assert fault.words == "Modules that are switched off: BTEC_Students."
    assert fault.runbook == ""


@pytest.mark.parametrize(
    ("language", "word"), [("en", "Switched off"), ("ar", "متوقفة")]
)
def test_a_registrar_switches_a_module_off_and_the_dashboard_shows_it(
    client_of,  # noqa: F811 - a fixture
    staff,  # noqa: F811 - a fixture
    language,
    word,
):
    browser = client_of(staff(roles.REGISTRARS))
    browser.cookies["django_language"] = language
    body = {
        "zoho_accounts_url": "https://accounts.zoho.com",
        "paused_modules": [STUDENTS],
    }
    page = reverse("admin:registrar_registrarsettings_change")
    assert browser.post(page, body).status_code == 302
    assert RegistrarSettings.objects.get().paused_modules == [STUDENTS]
    shown = browser.get(reverse("admin:registrar_dashboard")).content.decode()
    assert shown.count(word) == 1
    assert STUDENTS in shown
