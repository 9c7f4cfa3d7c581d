"""The admin of the registrar: its tables, its dashboard, and a page for each record."""

from registrar.admin import (
    grade_admin,
    mirror_admin,
    queue_admin,
    settings_admin,
    template_admin,
)

__all__ = [
    "grade_admin",
    "mirror_admin",
    "queue_admin",
    "settings_admin",
    "template_admin",
]
