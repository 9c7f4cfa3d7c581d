"""The admin of the registrar: its tables, its dashboard, and a page for each record."""

from registrar.admin import (
    access_admin,
    grade_admin,
    mirror_admin,
    queue_admin,
    settings_admin,
    student_admin,
    template_admin,
)

__all__ = [
    "access_admin",
    "grade_admin",
    "mirror_admin",
    "queue_admin",
    "settings_admin",
    "student_admin",
    "template_admin",
]
