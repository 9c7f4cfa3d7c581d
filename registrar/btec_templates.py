"""The BTEC templates: what staff see of them, and how they have them synchronised.

A template is a unit's list of criteria, which teachers in Moodle grade with
(`registrar.effects.templates` publishes it). Nothing here calls a peer.
"""

from django.db import models, transaction
from django.db.models import Case, Exists, F, OuterRef, QuerySet, Subquery, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from registrar import queues
from registrar.models import Effect, Kind, Template
from registrar.models.work import WorkState

MODULE = "BTEC_Units"


class State(models.TextChoices):
    """Where a template stands."""

    PUBLISHED = "published", _("published")
    WAITING = "waiting", _("waiting")
    FAILED = "failed", _("failed")
    NOT_PUBLISHED = "not_published", _("not published")
    DELETED = "deleted", _("deleted in Zoho")


def with_state(rows: QuerySet[Template]) -> QuerySet[Template]:
    """Add ``state``, a `State`, and the ``last_error`` and ``result`` of the last effect."""
    effects = Effect.objects.filter(
        kind=Kind.TEMPLATE, module=MODULE, record_id=OuterRef("zoho_id")
    ).order_by("-pk")
    return rows.annotate(
        effect_state=Subquery(effects.values("state")[:1]),
        last_error=Subquery(effects.values("last_error")[:1]),
        result=Subquery(effects.values("result")[:1]),
    ).annotate(
        state=Case(
            When(deleted_at__isnull=False, then=models.Value(State.DELETED)),
            When(effect_state=WorkState.DEAD, then=models.Value(State.FAILED)),
            When(pushed_version__lt=F("version"), then=models.Value(State.WAITING)),
            When(template_hash="", then=models.Value(State.NOT_PUBLISHED)),
            default=models.Value(State.PUBLISHED),
            output_field=models.CharField(),
        )
    )


def sync(rows: QuerySet[Template], *, again: bool = False) -> int:
    """Let templates be compared with what was published; return how many.

    One that is unchanged stays as it is in Moodle. Failed ones are tried again.

    Args:
        again: publish unchanged ones, too: Moodle may have lost them.
    """
    now = timezone.now()
    with transaction.atomic():
        ids = list(rows.filter(deleted_at=None).values_list("zoho_id", flat=True))
        units = Template.objects.filter(zoho_id__in=ids)
        units.update(pushed_version=0)
        if again:
            units.update(template_hash="")
        of_version = Template.objects.filter(
            zoho_id=OuterRef("record_id"), version=OuterRef("version")
        )
        # Units without an effect of their version get one from the periodic task.
        effects = Effect.objects.filter(
            Exists(of_version), kind=Kind.TEMPLATE, module=MODULE, record_id__in=ids
        )
        queues.replay(effects, now=now)
    return len(ids)
