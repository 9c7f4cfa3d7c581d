"""The admin of the registrar: its tables, its dashboard, and a page for each record."""

from registrar.admin import (
    mirror_admin,
    queue_admin,
    settings_admin,
    template_admin,
)

__all__ = ["mirror_admin", "queue_admin", "settings_admin", "template_admin"]
