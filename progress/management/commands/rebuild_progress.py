"""``manage.py rebuild_progress [PLAYER …] [--json]``"""

from players.management.snapshot_commands import RebuildCommand
from progress.services import snapshots


class Command(RebuildCommand):
    help = (
        "Delete the players' records in Redis and make their progress in all subjects "
        "again from the ledger: that of the players named, or of all. Exit code 1 if "
        "players remain, 2 if there is no such player."
    )
    rebuild = staticmethod(snapshots.rebuild)
