"""What content tells the apps to its right, which it does not know."""

from django.dispatch import Signal

subjects_changed = Signal()
"""Sent inside the transaction of an edit, with ``subject_ids: list[int]``."""
