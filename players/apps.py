from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PlayersConfig(AppConfig):
    """Students: their accounts, devices, sessions and wallets."""

    name = "players"
    verbose_name = _("Players")

    def ready(self) -> None:
        from players import admin_log, deletion_warnings, receivers  # noqa: F401

        admin_log.protect()
