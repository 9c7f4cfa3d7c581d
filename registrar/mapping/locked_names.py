"""The api names that the project's specification locks: never change them.

Two lists of the specification: its appendix, and the contracts of the services, which
name further fields. `UNLOCKED` has the fields of modules for which it names none. A
system check compares the mapping with them (`registrar.checks`).
"""

APPENDIX: dict[str, frozenset[str]] = {
    module: frozenset(names.split())
    for module, names in {
        "BTEC_Students": """
            First_Name Last_Name Display_Name Academic_Email Phone_Number Address City
            Nationality Birth_Date Gender Status Student_Moodle_ID National_Number
            Emergency_Contact_Name Emergency_Phone_Number""",
        "BTEC_Registrations": """
            Registration_Number Registration_Date Registration_Status Program_Price
            Total_Fees Paid_Amount Remaining_Amount Currency Payment_Plan Study_Mode
            Expected_Graduation Number_of_Installments Program_Level""",
        "BTEC_Classes": """
            Class_Name Class_Short_Name BTEC_Program Unit Teacher Moodle_Class_ID
            Class_Status Start_Date End_Date""",
        "BTEC_Enrollments": """
            Enrolled_Students Classes Enrollment_Status Enrollment_Date""",
        "BTEC_Payments": """
            Registration_ID Student_ID Payment_Amount Payment_Date Payment_Method
            Note""",
        "BTEC_Grades": """
            Student Class BTEC_Unit Grade Moodle_Grade_Composite_Key Moodle_Course_ID
            Moodle_User_ID""",
        "BTEC_Student_Requests": """
            Subject Student_ID Request_Type Status Description Attachment
            Class_Drop_Classes Request_Date""",
        "BTEC_Teachers": """
            Name Email Academic_Email Phone_Number Teacher_Moodle_ID""",
    }.items()
}

CONTRACTS: dict[str, frozenset[str]] = {
    "Products": frozenset(
        {
            *("Product_Name", "Product_Code", "Product_Level", "Product_Duration"),
            *("Product_Category", "Program_Price", "Currency"),
        }
    ),
    "BTEC_Registrations": frozenset(
        {"Name", "Student_ID", "Program", "Program_Name", "Status"}
    ),
}
"""Names of the contracts D1–D8 that the appendix does not repeat."""

CRITERIA: tuple[str, ...] = tuple(
    f"{letter}{number}"
    for letter, most in (("P", 19), ("M", 9), ("D", 6))
    for number in range(1, most + 1)
)
"""The criteria that a unit may have, in order: pass, merit, distinction."""


def criterion_name(short_name: str) -> str:
    """Return the field of BTEC_Units that has the text of a criterion."""
    return f"{short_name}_description"


UNLOCKED: dict[str, frozenset[str]] = {
    "BTEC_Units": frozenset({"Name", "Unit_Code", *map(criterion_name, CRITERIA)})
}

CRITERIA_SUBFORM = "Learning_Outcomes_Assessm"
"""The subform of ``BTEC_Grades`` for criteria, for which the specification has no name.
Its fields: ``LO_Code``, ``LO_Title``, ``LO_Score`` (``Achieved`` or ``Not Achieved``),
``LO_Definition``, ``LO_Feedback``."""

EVERY_MODULE = frozenset({"id", "Created_Time", "Modified_Time"})
"""What every record of Zoho has."""


def permitted(module: str) -> frozenset[str]:
    """Return the names that a mapping of ``module`` may use; none if it is unknown."""
    lists = (APPENDIX, CONTRACTS, UNLOCKED)
    return frozenset().union(*(names.get(module, frozenset()) for names in lists))
