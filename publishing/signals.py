"""What publishing's own models tell its doors."""

from django.dispatch import Signal

plans_on_cdn = Signal()
"""Sent once the CDN has the releases of these plans, and did not before.

Args:
    plan_ids: their keys.
"""

settings_changed = Signal()
"""Sent inside the transaction that changed the publishing settings.

Args:
    fields: the names of those that changed.
"""
