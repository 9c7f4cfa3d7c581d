"""A school in the simulated CRM, of any size, for the demo and for measurements."""

from dataclasses import dataclass, field

from tests.registrar.simulators.zoho_store import Record, Store

_FIRST = ["ليلى", "سلمى", "عمر", "يوسف", "مريم", "خالد", "نور", "Adam"]
_LAST = ["سالم", "حداد", "خليل", "منصور", "Haddad"]
_CITIES = ["غزة", "نابلس", "جنين", "الخليل", "رام الله"]


@dataclass
class School:
    """The ids of what `fill` has made."""

    programs: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    teachers: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    students: list[str] = field(default_factory=list)
    registrations: list[str] = field(default_factory=list)
    enrolments: list[str] = field(default_factory=list)
    payments: list[str] = field(default_factory=list)


def fill(store: Store, *, students: int = 20) -> School:
    """Make two programs, four units with classes, and students with all their records.

    Each student is registered in one program, has paid a first instalment, and is
    enrolled in two classes of it.
    """
    school = School()
    for at, name in enumerate(("Information Technology", "Business"), start=1):
        school.programs.append(_add(store, "Products", Product_Name=name, Name=name))
        for number in (1, 2):
            _add_class(store, school, program=school.programs[-1], at=at, number=number)
    for at in range(students):
        _add_student(store, school, at)
    return school


def _add(store: Store, module: str, **values: object) -> str:
    return str(store.insert(module, values)["id"])


def _to(record_id: str) -> Record:
    return {"id": record_id}


def _add_class(
    store: Store, school: School, *, program: str, at: int, number: int
) -> None:
    name = f"Unit {at}.{number}"
    unit = _add(
        store,
        "BTEC_Units",
        Name=name,
        Unit_Code=f"U{at}{number}",
        P1_description="يشرح المفاهيم الأساسية",
        M1_description="يقارن بين حلين",
        D1_description="يقيّم الحل",
    )
    mail = f"teacher{at}{number}@school.example"
    teacher = _add(store, "BTEC_Teachers", Name=f"Teacher {at}", Academic_Email=mail)
    school.units.append(unit)
    school.teachers.append(teacher)
    school.classes.append(
        _add(
            store,
            "BTEC_Classes",
            Name=name,
            Class_Name=name,
            Class_Short_Name=f"C{at}{number}",
            BTEC_Program=_to(program),
            Unit=_to(unit),
            Teacher=_to(teacher),
            Class_Status="Active",
            Start_Date="2026-09-01",
            End_Date="2027-01-31",
        )
    )


def _add_student(store: Store, school: School, at: int) -> None:
    first, last = _FIRST[at % len(_FIRST)], _LAST[at % len(_LAST)]
    student = _add(
        store,
        "BTEC_Students",
        Name=f"S{at:05}",
        First_Name=first,
        Last_Name=last,
        Display_Name=f"{first} {last}",
        Academic_Email=f"s{at:05}@school.example",
        City=_CITIES[at % len(_CITIES)],
        National_Number=f"9{at:08}",
        Birth_Date="2008-02-29",
        Status="Active",
    )
    program = at % len(school.programs)
    registration = _add(
        store,
        "BTEC_Registrations",
        Name=f"R{at:05}",
        Student_ID=_to(student),
        Program=_to(school.programs[program]),
        Registration_Number=f"R{at:05}",
        Registration_Date="2026-09-01",
        Total_Fees=1500.5,
        Paid_Amount=500.0,
        Currency="USD",
    )
    payment = _add(
        store,
        "BTEC_Payments",
        Registration_ID=_to(registration),
        Student_ID=_to(student),
        Payment_Amount=500.0,
        Payment_Date="2026-09-02",
    )
    school.students.append(student)
    school.registrations.append(registration)
    school.payments.append(payment)
    for joined in school.classes[2 * program : 2 * program + 2]:
        school.enrolments.append(
            _add(
                store,
                "BTEC_Enrollments",
                Enrolled_Students=_to(student),
                Classes=_to(joined),
                Enrollment_Status="Active",
                Enrollment_Date="2026-09-03",
            )
        )
