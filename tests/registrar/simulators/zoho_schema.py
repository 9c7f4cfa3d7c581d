"""The modules and fields of the simulated CRM: those of the blueprint, and Zoho's own."""

from typing import Any

_STANDARD = {
    "Name": "text",
    "Owner": "ownerlookup",
    "Created_Time": "datetime",
    "Modified_Time": "datetime",
}

MODULES: dict[str, dict[str, str]] = {
    "BTEC_Students": {
        **dict.fromkeys(("First_Name", "Last_Name", "Display_Name"), "text"),
        "Academic_Email": "email",
        "Phone_Number": "phone",
        "Address": "textarea",
        **dict.fromkeys(("City", "Nationality", "National_Number"), "text"),
        "Birth_Date": "date",
        "Gender": "picklist",
        "Status": "picklist",
        **dict.fromkeys(("Student_Moodle_ID", "Emergency_Contact_Name"), "text"),
        "Emergency_Phone_Number": "phone",
    },
    "BTEC_Teachers": {
        "Email": "email",
        "Academic_Email": "email",
        "Phone_Number": "phone",
        "Teacher_Moodle_ID": "text",
    },
    "Products": {
        **dict.fromkeys(("Product_Name", "Product_Code", "Product_Level"), "text"),
        "Product_Duration": "text",
        "Product_Category": "picklist",
        "Program_Price": "currency",
        "Currency": "picklist",
    },
    "BTEC_Units": {
        "Unit_Code": "text",
        **{f"P{number}_description": "textarea" for number in range(1, 20)},
        **{f"M{number}_description": "textarea" for number in range(1, 10)},
        **{f"D{number}_description": "textarea" for number in range(1, 7)},
    },
    "BTEC_Registrations": {
        "Student_ID": "lookup:BTEC_Students",
        "Program": "lookup:Products",
        "Program_Name": "text",
        "Registration_Number": "text",
        "Registration_Date": "date",
        "Registration_Status": "picklist",
        **dict.fromkeys(("Program_Price", "Total_Fees", "Paid_Amount"), "currency"),
        "Remaining_Amount": "currency",
        "Currency": "picklist",
        **dict.fromkeys(("Payment_Plan", "Study_Mode", "Status"), "picklist"),
        "Expected_Graduation": "date",
        "Number_of_Installments": "integer",
        "Program_Level": "text",
    },
    "BTEC_Classes": {
        **dict.fromkeys(("Class_Name", "Class_Short_Name", "Moodle_Class_ID"), "text"),
        "BTEC_Program": "lookup:Products",
        "Unit": "lookup:BTEC_Units",
        "Teacher": "lookup:BTEC_Teachers",
        "Class_Status": "picklist",
        "Start_Date": "date",
        "End_Date": "date",
    },
    "BTEC_Enrollments": {
        "Enrolled_Students": "lookup:BTEC_Students",
        "Classes": "lookup:BTEC_Classes",
        "Enrollment_Status": "picklist",
        "Enrollment_Date": "date",
    },
    "BTEC_Payments": {
        "Registration_ID": "lookup:BTEC_Registrations",
        "Student_ID": "lookup:BTEC_Students",
        "Payment_Amount": "currency",
        "Payment_Date": "date",
        "Payment_Method": "picklist",
        "Note": "textarea",
    },
    "BTEC_Grades": {
        "Student": "lookup:BTEC_Students",
        "Class": "lookup:BTEC_Classes",
        "BTEC_Unit": "lookup:BTEC_Units",
        "Grade": "text",
        **dict.fromkeys(("Moodle_Course_ID", "Moodle_User_ID"), "text"),
        "Moodle_Grade_Composite_Key": "text",
        "Learning_Outcomes_Assessm": "subform",
    },
    "BTEC_Student_Requests": {
        "Subject": "text",
        "Student_ID": "lookup:BTEC_Students",
        "Request_Type": "picklist",
        "Status": "picklist",
        "Description": "textarea",
        "Attachment": "fileupload",
        "Request_Date": "date",
        "Class_Drop_Classes": "multiselectlookup:BTEC_Classes",
    },
}
for _fields in MODULES.values():
    for _name, _kind in _STANDARD.items():
        _fields.setdefault(_name, _kind)

UNIQUE: dict[str, set[str]] = {
    "BTEC_Grades": {"Moodle_Grade_Composite_Key"},
    "BTEC_Student_Requests": {"Subject"},
}
"""Fields without duplicates."""

CHOICES: dict[str, list[str]] = {
    "Gender": ["Male", "Female"],
    "Enrollment_Status": ["Active", "Withdrawn", "Completed"],
    "Class_Status": ["Active", "Upcoming", "Completed", "Cancelled"],
    "Request_Type": [
        *("Enroll Next Semester", "Class Drop", "Late Submission"),
        *("Change Information", "Student Card"),
    ],
}

RELATED: dict[str, dict[str, tuple[str, str]]] = {
    "BTEC_Students": {
        "Registrations": ("BTEC_Registrations", "Student_ID"),
        "Enrollments": ("BTEC_Enrollments", "Enrolled_Students"),
    },
    "BTEC_Classes": {"Enrollments": ("BTEC_Enrollments", "Classes")},
    "BTEC_Registrations": {"Payments": ("BTEC_Payments", "Registration_ID")},
}
"""Related lists: api name to module and lookup."""

_JSON_TYPES = {
    "currency": "double",
    "integer": "integer",
    "lookup": "jsonobject",
    "ownerlookup": "jsonobject",
    "multiselectlookup": "jsonarray",
    "fileupload": "jsonarray",
    "subform": "jsonarray",
}


def module_rows() -> list[dict[str, Any]]:
    """The rows of ``GET /settings/modules``."""
    return [
        {
            "id": str(4000 + at),
            "api_name": name,
            "module_name": name,
            "api_supported": True,
            "generated_type": "custom",
            "plural_label": name,
            "singular_label": name,
            "modified_time": "2026-01-01T00:00:00+00:00",
        }
        for at, name in enumerate(MODULES)
    ]


def field_rows(module: str) -> list[dict[str, Any]]:
    """The rows of ``GET /settings/fields``."""
    found = {"id": "bigint", **MODULES[module]}
    return [_field_row(name, kind, at) for at, (name, kind) in enumerate(found.items())]


def _field_row(name: str, kind: str, at: int) -> dict[str, Any]:
    data_type, _, target = kind.partition(":")
    row: dict[str, Any] = {
        "id": str(5000 + at),
        "api_name": name,
        "field_label": name.replace("_", " "),
        "data_type": data_type,
        "json_type": _JSON_TYPES.get(data_type, "string"),
        "length": 255,
        "visible": True,
        "read_only": name in ("id", "Created_Time", "Modified_Time"),
        "system_mandatory": False,
        "custom_field": name not in _STANDARD,
        "pick_list_values": [
            {"actual_value": value, "display_value": value, "id": str(6000 + number)}
            for number, value in enumerate(CHOICES.get(name, []))
        ],
        "lookup": {},
        "multiselectlookup": {},
    }
    if data_type == "lookup":
        row["lookup"] = {"module": {"api_name": target, "id": "1"}, "api_name": name}
    if data_type == "multiselectlookup":
        row["multiselectlookup"] = {
            "connected_module": target,
            "linking_module": f"{name}_X",
            "lookup_apiname": name,
            "connectedfield_apiname": name,
            "id": "1",
        }
    return row
