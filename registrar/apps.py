from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RegistrarConfig(AppConfig):
    """The registrar: keeps Zoho CRM, Moodle and the local mirror the same."""

    name = "registrar"
    verbose_name = _("Registrar")

    def ready(self) -> None:
        from players.services import erasure as players
        from registrar import checks, deletion_warnings  # noqa: F401 - connects them
        from registrar.student_pages import erasure, receivers  # noqa: F401 - connects

        players.holders.add(erasure)
