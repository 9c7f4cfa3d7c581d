"""One table per module of Zoho: api name, column, converter.

The api names are locked (`registrar.mapping.locked_names`). Only picklists whose value
decides what happens in Moodle have a closed list; others are kept as they were sent.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from registrar.mapping import converters as c
from registrar.mapping.locked_names import CRITERIA, criterion_name
from registrar.models import (
    Enrolment,
    Grade,
    MirrorRow,
    Payment,
    Program,
    Registration,
    SchoolClass,
    Student,
    StudentRequest,
    Teacher,
    Unit,
)

ACTIVE, WITHDRAWN, COMPLETED = "Active", "Withdrawn", "Completed"
CANCELLED, VOIDED, DELETED = "Cancelled", "Voided", "Deleted"


@dataclass(frozen=True, slots=True)
class MappedField:
    """A field of Zoho and the column that gets its value.

    Args:
        api_name: the field's name in Zoho.
        column: an attribute of the model, ``student_id`` for a lookup ``student``.
        convert: see `registrar.mapping.converters`.
        parent: the module of the record that a lookup names; "" for other fields.
        key: where the column has an object of texts, the key of this one.
    """

    api_name: str
    column: str
    convert: c.Converter
    parent: str = ""
    key: str = ""

    @property
    def name(self) -> str:
        """Its name among the mapped values of a row."""
        return f"{self.column}.{self.key}" if self.key else self.column

    def value_of(self, row: MirrorRow) -> Any:
        """Return the value that a row has."""
        held = getattr(row, self.column)
        return held.get(self.key, "") if self.key else held

    def write(self, row: MirrorRow, value: Any) -> None:
        """Set the value of a row; an object has no keys of empty texts."""
        if self.key:
            held = {**getattr(row, self.column), self.key: value}
            value = {key: text for key, text in held.items() if text}
        setattr(row, self.column, value)


@dataclass(frozen=True, kw_only=True)
class ModuleMapping:
    """How records of one module become rows of one table.

    Args:
        on_deletion: what a deletion in Zoho writes into the row; it stays.
    """

    module: str
    model: type[MirrorRow]
    fields: tuple[MappedField, ...]
    on_deletion: Mapping[str, Any] = field(default_factory=dict)

    @property
    def api_names(self) -> tuple[str, ...]:
        """The names to read, each once; `id` and the two times included."""
        names = ("id", "Created_Time", "Modified_Time")
        return tuple(dict.fromkeys((*names, *(one.api_name for one in self.fields))))

    def values_of(self, row: MirrorRow) -> dict[str, Any]:
        """Return the mapped values that the row has, by `MappedField.name`."""
        return {one.name: one.value_of(row) for one in self.fields}

    def write(self, row: MirrorRow, values: Mapping[str, Any]) -> None:
        """Set the mapped values that ``values`` has, by `MappedField.name`."""
        for one in self.fields:
            if one.name in values:
                one.write(row, values[one.name])

    def parents_of(self, row: MirrorRow) -> Iterator[tuple[str, str]]:
        """Yield module and id of each record that the row's lookups name."""
        for one in self.fields:
            found = getattr(row, one.column) if one.parent else None
            if found:
                yield one.parent, found


def digest(values: Mapping[str, Any]) -> str:
    """Return the hash of mapped values: the same for the same values, in any order."""
    document = orjson.dumps(values, default=str, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(document).hexdigest()


def _texts(**columns: str) -> tuple[MappedField, ...]:
    return tuple(
        MappedField(name, column, c.text()) for name, column in columns.items()
    )


def _amounts(**columns: str) -> tuple[MappedField, ...]:
    return tuple(MappedField(name, column, c.money) for name, column in columns.items())


_LONG = c.text(20_000)
_STUDENTS = ModuleMapping(
    module="BTEC_Students",
    model=Student,
    fields=(
        *_texts(
            First_Name="first_name",
            Last_Name="last_name",
            Display_Name="display_name",
            Academic_Email="academic_email",
            Phone_Number="phone_number",
            City="city",
            Nationality="nationality",
            Gender="gender",
            Status="status",
            National_Number="national_number",
            Emergency_Contact_Name="emergency_contact_name",
            Emergency_Phone_Number="emergency_phone_number",
        ),
        MappedField("Address", "address", _LONG),
        MappedField("Birth_Date", "birth_date", c.day),
        MappedField("Student_Moodle_ID", "crm_moodle_id", c.text(40)),
    ),
    on_deletion={"status": DELETED},
)
_TEACHERS = ModuleMapping(
    module="BTEC_Teachers",
    model=Teacher,
    fields=(
        *_texts(
            Name="name",
            Email="email",
            Academic_Email="academic_email",
            Phone_Number="phone_number",
        ),
        MappedField("Teacher_Moodle_ID", "crm_moodle_id", c.text(40)),
    ),
)
_PROGRAMS = ModuleMapping(
    module="Products",
    model=Program,
    fields=(
        *_texts(
            Product_Name="name",
            Product_Code="code",
            Product_Level="level",
            Product_Duration="duration",
            Product_Category="category",
            Currency="currency",
        ),
        *_amounts(Program_Price="price"),
    ),
)
_UNITS = ModuleMapping(
    module="BTEC_Units",
    model=Unit,
    fields=(
        *_texts(Name="name", Unit_Code="code"),
        *(
            MappedField(criterion_name(one), "criteria", _LONG, key=one)
            for one in CRITERIA
        ),
    ),
)
_REGISTRATIONS = ModuleMapping(
    module="BTEC_Registrations",
    model=Registration,
    fields=(
        *_texts(
            Name="name",
            Program_Name="program_name",
            Registration_Number="number",
            Registration_Status="registration_status",
            Status="status",
            Currency="currency",
            Payment_Plan="payment_plan",
            Study_Mode="study_mode",
            Program_Level="program_level",
        ),
        *_amounts(
            Program_Price="program_price",
            Total_Fees="total_fees",
            Paid_Amount="paid_amount",
            Remaining_Amount="remaining_amount",
        ),
        MappedField("Student_ID", "student_id", c.lookup, "BTEC_Students"),
        MappedField("Program", "program_id", c.lookup, "Products"),
        MappedField("Registration_Date", "registered_on", c.day),
        MappedField("Expected_Graduation", "expected_graduation", c.day),
        MappedField("Number_of_Installments", "number_of_installments", c.whole),
    ),
    on_deletion={"status": CANCELLED},
)
_CLASSES = ModuleMapping(
    module="BTEC_Classes",
    model=SchoolClass,
    fields=(
        *_texts(Class_Name="name", Class_Short_Name="short_name"),
        MappedField("BTEC_Program", "program_id", c.lookup, "Products"),
        MappedField("BTEC_Program", "program_name", c.lookup_name),
        MappedField("Unit", "unit_id", c.lookup, "BTEC_Units"),
        MappedField("Unit", "unit_name", c.lookup_name),
        MappedField("Teacher", "teacher_id", c.lookup, "BTEC_Teachers"),
        MappedField("Teacher", "teacher_name", c.lookup_name),
        MappedField(
            "Class_Status",
            "status",
            c.choice(ACTIVE, "Upcoming", "Planned", COMPLETED, CANCELLED),
        ),
        MappedField("Start_Date", "start_date", c.day),
        MappedField("End_Date", "end_date", c.day),
        MappedField("Moodle_Class_ID", "crm_moodle_id", c.text(40)),
    ),
    on_deletion={"status": CANCELLED},
)
_ENROLMENTS = ModuleMapping(
    module="BTEC_Enrollments",
    model=Enrolment,
    fields=(
        MappedField("Enrolled_Students", "student_id", c.lookup, "BTEC_Students"),
        MappedField("Classes", "school_class_id", c.lookup, "BTEC_Classes"),
        MappedField(
            "Enrollment_Status", "status", c.choice(ACTIVE, WITHDRAWN, COMPLETED)
        ),
        MappedField("Enrollment_Date", "enrolled_on", c.day),
    ),
    on_deletion={"status": WITHDRAWN},
)
_PAYMENTS = ModuleMapping(
    module="BTEC_Payments",
    model=Payment,
    fields=(
        MappedField(
            "Registration_ID", "registration_id", c.lookup, "BTEC_Registrations"
        ),
        MappedField("Student_ID", "student_id", c.lookup, "BTEC_Students"),
        *_amounts(Payment_Amount="amount"),
        MappedField("Payment_Date", "paid_on", c.day),
        *_texts(Payment_Method="method"),
        MappedField("Note", "note", _LONG),
    ),
    on_deletion={"status": VOIDED},
)
_GRADES = ModuleMapping(
    module="BTEC_Grades",
    model=Grade,
    fields=(
        MappedField("Student", "student_id", c.lookup, "BTEC_Students"),
        MappedField("Class", "school_class_id", c.lookup, "BTEC_Classes"),
        MappedField("BTEC_Unit", "unit_id", c.lookup, "BTEC_Units"),
        *_texts(
            Grade="grade",
            Moodle_Grade_Composite_Key="composite_key",
            Moodle_Course_ID="moodle_course_id",
            Moodle_User_ID="moodle_user_id",
        ),
    ),
)
_REQUESTS = ModuleMapping(
    module="BTEC_Student_Requests",
    model=StudentRequest,
    fields=(
        *_texts(Subject="subject", Request_Type="request_type", Status="status"),
        MappedField("Student_ID", "student_id", c.lookup, "BTEC_Students"),
        MappedField("Description", "description", _LONG),
        MappedField(
            "Class_Drop_Classes", "class_ids", c.linked_ids("Class_Drop_Classes")
        ),
        MappedField("Request_Date", "requested_on", c.day),
    ),
)

MAPPINGS: dict[str, ModuleMapping] = {
    one.module: one
    for one in (
        *(_STUDENTS, _TEACHERS, _PROGRAMS, _UNITS, _REGISTRATIONS),
        *(_CLASSES, _ENROLMENTS, _PAYMENTS, _GRADES, _REQUESTS),
    )
}
"""By module, parents before their children."""
