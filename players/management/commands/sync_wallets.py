"""``manage.py sync_wallets [--force] [--json]``"""

from collections.abc import Callable

from players import wallet_sync
from players.management.snapshot_commands import SyncCommand
from players.write_back import SyncResult


class Command(SyncCommand):
    help = (
        "Write the wallets that are behind the ledger to the database now. Beat does "
        "the same every 15 minutes. Exit code 1 if a wallet could not be written."
    )

    def sync(self, *, force: bool, progress: Callable[[int, int], None]) -> SyncResult:
        return wallet_sync.sync_pending_wallets(force=force, progress=progress)
