"""Players' periodic work."""

from celery import shared_task

from players import wallet_sync


@shared_task(name="players.tasks.sync_pending_wallets", ignore_result=True)
def sync_pending_wallets() -> None:
    """Write changed wallets back; every 15 minutes, and safe to run twice."""
    wallet_sync.sync_pending_wallets()
