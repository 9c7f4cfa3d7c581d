"""What content tells the apps to its right, which it does not know."""

from django.dispatch import Signal

subjects_changed = Signal()
"""Sent inside the transaction of an edit, with ``subject_ids: list[int]`` and
``at_once: bool``: readers are not to wait for the next batch, for something was
deleted, or who may read it has changed (DESIGN 5)."""
