"""``manage.py sync_progress [--force] [--json]``"""

from collections.abc import Callable

from players.management.snapshot_commands import SyncCommand
from players.write_back import SyncResult
from progress.services import snapshots


class Command(SyncCommand):
    help = (
        "Write the subjects' progress that is behind the ledger to the database now. "
        "Beat does the same every 30 seconds. Exit code 1 if a snapshot could not be "
        "written."
    )

    def sync(self, *, force: bool, progress: Callable[[int, int], None]) -> SyncResult:
        return snapshots.sync_pending(force=force, progress=progress)
