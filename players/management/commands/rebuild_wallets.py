"""``manage.py rebuild_wallets [PLAYER …] [--json]``"""

from players import wallet_sync
from players.management.snapshot_commands import RebuildCommand


class Command(RebuildCommand):
    help = (
        "Delete the players' records in Redis and make their wallets again from the "
        "ledger: those of the players named, or all. Exit code 1 if players remain, 2 "
        "if there is no such player."
    )
    rebuild = staticmethod(wallet_sync.rebuild)
