"""What publishing's own models tell its doors."""

from django.dispatch import Signal

settings_changed = Signal()
"""Sent inside the transaction that changed the publishing settings.

Args:
    fields: the names of those that changed.
"""
