"""A school in the simulated CRM, and its Moodle."""

from datetime import UTC, datetime

import pytest
from cryptography.fernet import Fernet
from django.utils import timezone

from registrar.effects import handlers, plugin
from registrar.effects.site import Site
from registrar.mapping.modules import MAPPINGS
from registrar.mirror.applying import apply_deletion, apply_record
from registrar.models import Effect, PeerState
from registrar.outbox import adding, running

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class School:
    """Changes records in the CRM, mirrors them, and does what is then due."""

    def __init__(self, zoho, moodle, site: Site) -> None:
        self.zoho, self.moodle, self.site = zoho, moodle, site

    def add(self, module: str, **values) -> str:
        record = self.zoho.store.insert(module, values)
        self.mirror(module, record["id"])
        return record["id"]

    def change(self, module: str, record_id: str, **values) -> None:
        self.zoho.store.update(module, record_id, values)
        self.mirror(module, record_id)

    def delete(self, module: str, record_id: str) -> None:
        self.zoho.store.delete(module, record_id)
        apply_deletion(module, record_id, read_at=timezone.now())

    def mirror(self, module: str, record_id: str):
        record = self.zoho.store.records[module][record_id]
        return apply_record(module, record, read_at=timezone.now())

    def run(self) -> None:
        """Add and do all effects whose time has come."""
        modules = (*adding.EVERY_SITE, *plugin.modules(self.site))
        adding.add_all_due(most=1000, modules=modules)
        found = handlers.of_site(self.site)
        while running.run(handlers=found).tried:
            pass

    def run_later(self) -> None:
        """Do the effects as if all pauses were over."""
        PeerState.objects.update(open_until=None)
        Effect.objects.filter(state__in=("pending", "running")).update(
            due_at=timezone.now()
        )
        self.run()

    def row(self, module: str, record_id: str):
        return MAPPINGS[module].model._default_manager.get(zoho_id=record_id)

    def student(self, name="ليلى", **values) -> str:
        values = {
            "First_Name": name,
            "Last_Name": "Haddad",
            "Academic_Email": f"s{len(self.zoho.store.records['BTEC_Students'])}@x.edu",
            **values,
        }
        return self.add("BTEC_Students", **values)

    def school_class(self, **values) -> str:
        values = {"Class_Name": "Networks B", "Class_Short_Name": "NET-B", **values}
        return self.add("BTEC_Classes", **values)

    def enrolment(self, student: str, school_class: str, status="Active") -> str:
        return self.add(
            "BTEC_Enrollments",
            Enrolled_Students={"id": student},
            Classes={"id": school_class},
            Enrollment_Status=status,
        )

    def accounts(self, zoho_id: str) -> list[dict]:
        return [
            user for user in self.moodle.users.values() if user["idnumber"] == zoho_id
        ]

    def courses(self, zoho_id: str) -> list[dict]:
        return [
            course
            for course in self.moodle.courses.values()
            if course["idnumber"] == zoho_id
        ]


@pytest.fixture
def school(db, zoho, moodle, crm, lms, settings) -> School:
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    return School(zoho, moodle, Site(moodle=lms, zoho=crm))
