"""Staff see and decide what registrations give to players."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from plans.models import AcademicPlan
from players import roles
from players.models import Enrollment
from players.services import accounts
from registrar.models import GivenAccess, Program, ProgramAccess, Registration, Student
from registrar.player_access import applying, differences
from registrar.student_pages import linking
from tests.players.app import PASSWORD
from tests.registrar.admin.conftest import NOW

pytestmark = pytest.mark.django_db

PREVIEW = "admin:registrar_access_preview"
RULES = "admin:registrar_programaccess_changelist"


@pytest.fixture
def program(db):
    return Program.objects.create(zoho_id="900", read_at=NOW, name="HND Networks")


@pytest.fixture
def plan(db):
    return AcademicPlan.objects.create(title="Networks", public_id="PLAN-NET")


@pytest.fixture
def rule(program, plan):
    return ProgramAccess.objects.create(program=program, plan=plan, payment="none")


def register(program, number):
    student = Student.objects.create(
        zoho_id=f"9{number}", read_at=NOW, display_name=f"Student {number}"
    )
    Registration.objects.create(
        zoho_id=f"8{number}",
        read_at=NOW,
        student=student,
        program=program,
        registration_status="Active",
    )
    player = accounts.create_player(f"p{number}@home.example", PASSWORD)
    linking.link(student, player)


@pytest.fixture
def registrar(client_of, staff):
    return client_of(staff(roles.REGISTRARS))


@pytest.fixture
def viewer(client_of, staff):
    return client_of(staff(roles.REGISTRAR_VIEWERS))


@pytest.mark.parametrize(
    ("language", "word"), [("en", "Rule is off"), ("ar", "القاعدة متوقفة")]
)
def test_the_preview_shows_what_a_rule_that_is_off_would_do(
    viewer, rule, program, language, word
):
    register(program, 1)
    viewer.cookies["django_language"] = language
    page = viewer.get(reverse(PREVIEW)).content.decode()
    assert "Student 1" in page
    assert word in page
    assert not Enrollment.objects.exists()


def test_the_preview_takes_the_same_queries_for_any_number_of_students(
    viewer, rule, program
):
    register(program, 1)
    viewer.get(reverse(PREVIEW))
    counts = []
    for numbers in ((2,), (3, 4, 5)):
        for number in numbers:
            register(program, number)
        with CaptureQueriesContext(connection) as queries:
            viewer.get(reverse(PREVIEW))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_preview_says_when_a_person_must_decide(viewer, rule, program):
    ProgramAccess.objects.update(is_enabled=True)
    for number in range(applying.ALWAYS_PERMITTED + 1):
        register(program, number)
    applying.apply(differences.find())
    Registration.objects.update(registration_status="Withdrawn")
    page = viewer.get(reverse(PREVIEW)).content.decode()
    assert "--permit-many" in page


def test_the_preview_is_for_those_who_may_see_students(client_of, staff, rule):
    for role in (roles.SUPPORT, roles.CONTENT_EDITORS, roles.TEACHERS):
        assert client_of(staff(role)).get(reverse(PREVIEW)).status_code == 403


def test_a_registrar_makes_a_rule_and_a_viewer_reads_it(
    registrar, viewer, program, plan
):
    add = reverse("admin:registrar_programaccess_add")
    body = {
        "program": program.zoho_id,
        "plan": plan.pk,
        "item": "",
        "payment": "any",
        "giving_statuses": "Active",
        "ending_statuses": "Withdrawn",
    }
    assert viewer.post(add, body).status_code == 403
    assert registrar.post(add, body).status_code == 302
    rule = ProgramAccess.objects.get()
    assert not rule.is_enabled
    assert not rule.creates_accounts
    assert "HND Networks" in viewer.get(reverse(RULES)).content.decode()


def test_a_status_that_gives_and_ends_is_refused(registrar, program, plan):
    body = {
        "program": program.zoho_id,
        "plan": plan.pk,
        "payment": "any",
        "giving_statuses": "Active, Paid",
        "ending_statuses": "active",
    }
    answer = registrar.post(reverse("admin:registrar_programaccess_add"), body)
    assert "A status cannot give and end." in answer.content.decode()
    assert not ProgramAccess.objects.exists()


def test_what_was_given_is_listed_and_read_only(registrar, rule, program, plan):
    ProgramAccess.objects.update(is_enabled=True)
    register(program, 1)
    applying.apply(differences.find())
    given = GivenAccess.objects.get()
    address = reverse("admin:registrar_givenaccess_changelist")
    assert plan.title in registrar.get(address).content.decode()
    change = reverse("admin:registrar_givenaccess_change", args=[given.pk])
    assert registrar.get(change).status_code == 200
    assert registrar.post(change, {}).status_code == 403
