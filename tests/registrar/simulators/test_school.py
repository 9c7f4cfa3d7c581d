"""The school of the demo is complete: every record refers to records that exist."""

from tests.registrar.simulators.school import fill
from tests.registrar.simulators.zoho_schema import MODULES
from tests.registrar.simulators.zoho_store import Store


def test_every_student_has_a_registration_a_payment_and_two_classes():
    store = Store()
    school = fill(store, students=10)
    assert len(school.students) == len(school.payments) == 10
    assert len(school.enrolments) == 20
    for module, fields in MODULES.items():
        for record in store.records[module].values():
            for name, kind in fields.items():
                if kind.startswith("lookup:") and record[name]:
                    target = kind.removeprefix("lookup:")
                    assert record[name]["id"] in store.records[target]
