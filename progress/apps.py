from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ProgressConfig(AppConfig):
    """Progress: the ledger, completions, unlocking and reviews."""

    name = "progress"
    verbose_name = _("Progress")

    def ready(self) -> None:
        from players.services import erasure as students, wallet
        from progress import (  # noqa: F401 - connects them
            player_panel,
            receivers,
            statistics_views,
        )
        from progress.services import erasure, periodic_jobs, wallets
        from publishing import api

        wallet.ledger.add(wallets)
        students.holders.add(erasure)
        api.periodic_jobs.add(periodic_jobs.jobs)
