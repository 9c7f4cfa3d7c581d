"""Signals of publishing's models, received in `publishing.receivers`."""

from django.dispatch import Signal

plans_on_cdn = Signal()
"""Sent when the CDN has first received complete releases of these plans.

Args:
    plan_ids: their primary keys.
"""

settings_changed = Signal()
"""Sent inside the transaction that changed the publishing settings.

Args:
    fields: the names of the changed fields.
"""
