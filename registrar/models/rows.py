"""What all tables of the mirror have in common."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.fields import ExactCharField

ID_LENGTH = 40
"""Zoho's ids have 19 digits; other peers' ids are shorter."""


class MirrorRow(models.Model):
    """A record of Zoho CRM, as it was last read. Rows are never deleted.

    `registrar.mirror.applying` alone writes the columns that come from Zoho.
    """

    zoho_id = ExactCharField(_("Zoho id"), max_length=ID_LENGTH, unique=True)
    created_time = models.DateTimeField(_("created in Zoho"), null=True)
    modified_time = models.DateTimeField(_("changed in Zoho"), null=True)
    read_at = models.DateTimeField(_("read from Zoho"))
    """When the read of this copy began: of two copies with the same time of change, the
    one that was read later is the newer."""
    mapped_hash = models.CharField(max_length=64, editable=False, default="")
    """The digest of the mapped values; "" makes the next record apply in any case."""
    version = models.PositiveIntegerField(default=1, editable=False)
    """Counts the changes of mapped values."""
    pushed_version = models.PositiveIntegerField(default=0, editable=False)
    """The ``version`` that Moodle has; for rows that Moodle gets, work is due while the
    two differ."""
    deleted_at = models.DateTimeField(_("deleted in Zoho"), null=True)
    has_conflict = models.BooleanField(_("has a conflict"), default=False)
    """Whether a value of the record was not understood (`Conflict`)."""

    class Meta:
        abstract = True


class LinkedRow(MirrorRow):
    """A row that has an account or a course in Moodle."""

    moodle_id = models.PositiveBigIntegerField(_("Moodle id"), null=True, unique=True)
    """As found in Moodle by ``idnumber``. Not what Zoho says: that may be wrong."""
    crm_moodle_id = models.CharField(
        _("Moodle id in Zoho"), max_length=ID_LENGTH, default="", blank=True
    )
    is_suspended = models.BooleanField(default=False, editable=False)
    """Whether we have suspended the account, or hidden the course."""

    class Meta:
        abstract = True


def lookup(to: str, name: Any, **options: Any) -> "models.ForeignKey[Any, Any]":
    """Return a field for a lookup of Zoho: its column has the id as it was sent.

    The other record may be missing: children arrive before their parents.
    """
    return models.ForeignKey(
        f"registrar.{to}",
        on_delete=models.DO_NOTHING,
        to_field="zoho_id",
        db_constraint=False,
        null=True,
        verbose_name=name,
        **options,
    )


def text(name: Any, max_length: int = 255) -> "models.CharField[str, str]":
    """Return a field for a text as it was sent; "" for none."""
    return models.CharField(name, max_length=max_length, default="", blank=True)


def money(name: Any) -> "models.DecimalField[Any, Any]":
    """Return a field for an amount: three decimals, as Jordan's and Kuwait's dinars."""
    return models.DecimalField(name, max_digits=15, decimal_places=3, null=True)
