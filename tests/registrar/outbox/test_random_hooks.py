"""10,000 webhooks in random order, repeated, with faults of both peers.

They end in the state of a full sync: in the mirror, and in Moodle.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson
import pytest
from django.utils import timezone

from registrar import reconciling
from registrar.configuration import WebhookSecrets
from registrar.effects.site import Site
from registrar.inbox.endpoints import Event
from registrar.inbox.processing import process
from registrar.inbox.receiving import receive
from registrar.inbox.verifiers import KEY_HEADER
from registrar.mapping.modules import MAPPINGS
from registrar.models import (
    Conflict,
    Effect,
    Hint,
    PeerState,
    SchoolClass,
    Student,
    Teacher,
)
from registrar.moodle import client as moodle_client
from registrar.moodle.client import MoodleClient, MoodleSite
from registrar.peers.http import PeerClient
from registrar.sources import ZohoSource
from tests.registrar.outbox.conftest import School
from tests.registrar.simulators import moodle as moodle_simulator
from tests.registrar.simulators.moodle import MoodleSimulator

HOOKS = 10_000
STUDENTS, CLASSES, CHANGES = 60, 8, 500
MOST_RECORDS = 100
"""Records of one delivery."""
KEY = "k" * 32
FAULTS = {"drop_before": 0.03, "drop_after": 0.03, "status": 0.03}


@dataclass
class Life:
    """Changes the CRM as a school would; each change is announced."""

    store: object
    chance: random.Random
    announced: list[tuple[str, str]] = field(default_factory=list)
    places: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, module: str, **values) -> str:
        record = self.store.insert(module, values)
        self.announced.append((module, record["id"]))
        return record["id"]

    def change(self, module: str, record_id: str, **values) -> None:
        self.store.update(module, record_id, values)
        self.announced.append((module, record_id))

    def delete(self, module: str, record_id: str) -> None:
        self.store.delete(module, record_id)
        self.announced.append((module, record_id))

    def begin(self) -> None:
        for number in range(CLASSES):
            teacher = self.add(
                "BTEC_Teachers", Name=f"T {number}", Email=f"t{number}@x"
            )
            self.add(
                "BTEC_Classes",
                Class_Name=f"C{number}",
                Class_Status="Active",
                Teacher={"id": teacher},
            )
        for number in range(STUDENTS):
            self.add_student(number)

    def add_student(self, number: int) -> None:
        student = self.add(
            "BTEC_Students",
            First_Name=f"S{number}",
            Last_Name="X",
            Academic_Email=f"s{number}@x.edu",
        )
        registration = self.add("BTEC_Registrations", Student_ID={"id": student})
        self.add(
            "BTEC_Payments",
            Registration_ID={"id": registration},
            Payment_Amount=number + 0.5,
        )
        for school_class in self.chance.sample(self.ids("BTEC_Classes"), 2):
            self.enrol(student, school_class)

    def enrol(self, student: str, school_class: str) -> None:
        place = self.add(
            "BTEC_Enrollments",
            Enrolled_Students={"id": student},
            Classes={"id": school_class},
            Enrollment_Status="Active",
        )
        self.places[place] = (student, school_class)

    def ids(self, module: str) -> list[str]:
        return list(self.store.records[module])

    def one(self, module: str) -> str:
        return self.chance.choice(self.ids(module))

    def step(self, number: int) -> None:
        """Make one change, of the kinds that schools make."""
        kinds = {
            self.rename: 30,
            self.move: 30,
            self.withdraw_or_return: 30,
            self.enrol_again: 8,
            self.change_class: 8,
            self.rename_class: 4,
            self.cancel_or_reopen: 3,
            self.pay: 8,
            self.leave: 1,
        }
        [kind] = self.chance.choices(list(kinds), list(kinds.values()))
        kind(number)

    def rename(self, number: int) -> None:
        self.change("BTEC_Students", self.one("BTEC_Students"), Last_Name=f"X{number}")

    def move(self, number: int) -> None:
        self.change("BTEC_Students", self.one("BTEC_Students"), City=f"C{number}")

    def withdraw_or_return(self, _number: int) -> None:
        place = self.one("BTEC_Enrollments")
        old = self.store.records["BTEC_Enrollments"][place]["Enrollment_Status"]
        new = "Withdrawn" if old == "Active" else "Active"
        self.change("BTEC_Enrollments", place, Enrollment_Status=new)

    def enrol_again(self, _number: int) -> None:
        """Delete an enrolment and make a new one of the same student and class."""
        place = self.one("BTEC_Enrollments")
        student, school_class = self.places[place]
        self.delete("BTEC_Enrollments", place)
        if {student} <= self.store.records["BTEC_Students"].keys():
            self.enrol(student, school_class)

    def change_class(self, _number: int) -> None:
        place = self.one("BTEC_Enrollments")
        student, _former = self.places[place]
        school_class = self.one("BTEC_Classes")
        self.change("BTEC_Enrollments", place, Classes={"id": school_class})
        self.places[place] = (student, school_class)

    def rename_class(self, number: int) -> None:
        self.change("BTEC_Classes", self.one("BTEC_Classes"), Class_Name=f"C{number}")

    def cancel_or_reopen(self, _number: int) -> None:
        found = self.one("BTEC_Classes")
        old = self.store.records["BTEC_Classes"][found]["Class_Status"]
        new = "Cancelled" if old == "Active" else "Active"
        self.change("BTEC_Classes", found, Class_Status=new)

    def pay(self, number: int) -> None:
        self.change("BTEC_Payments", self.one("BTEC_Payments"), Payment_Amount=number)

    def leave(self, _number: int) -> None:
        self.delete("BTEC_Students", self.one("BTEC_Students"))


def deliveries(
    announced: list[tuple[str, str]], chance: random.Random, hooks: int
) -> Iterator[tuple[str, list[str]]]:
    """Iterate over deliveries that name ``hooks`` records, each change at least once."""
    todo = announced + chance.choices(announced, k=hooks - len(announced))
    chance.shuffle(todo)
    by_module: dict[str, list[str]] = {}
    for module, record_id in todo:
        batch = by_module.setdefault(module, [])
        batch.append(record_id)
        if len(batch) >= chance.randint(1, MOST_RECORDS):
            yield module, by_module.pop(module)
    yield from by_module.items()


def deliver(module: str, ids: list[str]) -> None:
    """Store a delivery as the web server does."""
    receive(
        endpoint="test",
        event=Event(module),
        secrets=WebhookSecrets(header=(KEY,)),
        headers={KEY_HEADER: KEY},
        body=orjson.dumps({"ids": ids}),
    )


def work(school: School, source: ZohoSource) -> None:
    """Do what is due, as if all pauses were over."""
    PeerState.objects.update(open_until=None)
    now = timezone.now()
    for queue in (Hint, Effect):
        queue.objects.filter(state="pending", due_at__gt=now).update(due_at=now)
    process(source=source)
    school.run()


def finish(school: School, source: ZohoSource) -> None:
    school.zoho.recover()
    school.moodle.recover()
    for _round in range(30):
        work(school, source)
        if not Hint.objects.exclude(state="done").exists():
            school.run_later()
            return
    raise AssertionError(Hint.objects.exclude(state="done").values().first())


def mirrored(school: School) -> dict:
    """The values of all rows whose record the CRM has."""
    return {
        module: {
            row.zoho_id: mapping.values_of(row)
            for row in mapping.model._default_manager.filter(deleted_at=None)
        }
        for module, mapping in MAPPINGS.items()
    }


def accounts(moodle: MoodleSimulator, ids: set[str]) -> dict:
    return {
        user["idnumber"]: {
            name: user[name]
            for name in ("firstname", "lastname", "email", "city", "suspended")
        }
        for user in moodle.users.values()
        if user["idnumber"] in ids
    }


def courses(moodle: MoodleSimulator, ids: set[str]) -> dict:
    return {
        course["idnumber"]: (course["fullname"], bool(course["visible"]))
        for course in moodle.courses.values()
        if course["idnumber"] in ids
    }


def places(moodle: MoodleSimulator, ids: set[str]) -> dict:
    """Whether each student or teacher may use each course."""
    found = {}
    for (course_id, user_id), place in moodle.enrolments.items():
        user = moodle.users[user_id]["idnumber"]
        course = moodle.courses[course_id]["idnumber"]
        if user in ids and course in ids and not place["suspended"]:
            found[user, course] = place
    return found


@pytest.fixture
def new_moodle(school) -> Iterator[Site]:
    """A Moodle without records, and the school's site with it instead of its own."""
    with MoodleSimulator() as moodle:
        site = MoodleSite(url=moodle.url, token=moodle_simulator.TOKEN)
        client = MoodleClient(site, http=PeerClient(moodle_client.DEFAULT_LIMITS))
        yield School(school.zoho, moodle, Site(moodle=client, zoho=school.site.zoho))
        client.close()


@pytest.mark.parametrize("seed", [1])
def test_10_000_hooks_in_random_order_with_faults_end_as_a_full_sync(
    school, new_moodle, seed
):
    chance = random.Random(seed)
    school.zoho.max_refreshes = HOOKS
    life = Life(school.zoho.store, chance)
    life.begin()
    source = ZohoSource(school.site.zoho)
    school.zoho.fail_at_random(FAULTS, seed=seed)
    school.moodle.fail_at_random(FAULTS, seed=seed + 1)
    rounds = 10
    for number in range(rounds):
        for change in range(CHANGES // rounds):
            life.step(number * CHANGES + change)
        for at, (module, ids) in enumerate(
            deliveries(life.announced, chance, HOOKS // rounds)
        ):
            deliver(module, ids)
            if at % 5 == 0:
                work(school, source)
        life.announced.clear()
    finish(school, source)

    assert not Effect.objects.filter(state="dead").exists()
    assert not Conflict.objects.exists()
    held = mirrored(school)
    live = {
        record_id
        for module in ("BTEC_Students", "BTEC_Teachers", "BTEC_Classes")
        for record_id in school.zoho.store.records[module]
    }
    cancelled = {
        record["id"]
        for record in school.zoho.store.records["BTEC_Classes"].values()
        if record["Class_Status"] == "Cancelled"
    }
    for module in ("BTEC_Students", "BTEC_Classes", "BTEC_Teachers"):
        for record_id in school.zoho.store.records[module]:
            found = school.accounts(record_id) + school.courses(record_id)
            assert len(found) <= 1, (module, record_id)

    Effect.objects.all().delete()
    for mapping in MAPPINGS.values():
        mapping.model._default_manager.all().delete()
    for module in MAPPINGS:
        reconciling.reconcile_module(source=source, module=module, apply=True)
    assert held == mirrored(school)
    for model in (Student, Teacher, SchoolClass):
        # The ids that Zoho has are those of the first Moodle.
        model.objects.update(crm_moodle_id="")
    new_moodle.run()
    new_moodle.run_later()
    ids = live - cancelled
    assert accounts(school.moodle, live) == accounts(new_moodle.moodle, live)
    assert courses(school.moodle, ids) == courses(new_moodle.moodle, ids)
    assert set(places(school.moodle, ids)) == set(places(new_moodle.moodle, ids))
