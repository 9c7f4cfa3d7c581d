"""Signals for the apps that depend on ``content``."""

from django.dispatch import Signal

subjects_changed = Signal()
"""Sent inside the transaction of an edit.

Arguments: ``subject_ids: list[int]`` and ``urgent: bool``. ``urgent`` marks an urgent
edit, which is built without waiting for the next batch: something was deleted, or
access to it has changed. See docs/architecture.md, "Edits".
"""
