"""Users and courses to create; ``mark`` makes their names unique."""

from registrar.moodle.courses import CourseValues
from registrar.moodle.users import NewUser


def new_user(mark: str, name: str = "a", **values: str) -> NewUser:
    details = {
        "username": f"{name}{mark}",
        "idnumber": f"{name}{mark}",
        "email": f"{name}{mark}@example.org",
        "first_name": "ليلى",
        "last_name": "سالم",
    }
    return NewUser(**details | values)


def course_values(mark: str, name: str = "k", **values) -> CourseValues:
    details = {
        "fullname": "صف أ",
        "shortname": f"{name}{mark}",
        "idnumber": f"{name}{mark}",
        "category_id": 1,
        "start": 1764460800,
    }
    return CourseValues(**details | values)
