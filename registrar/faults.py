"""What is wrong with the registrar, in words, with what to do.

The health page shows all of it; `memora_site.registrar_alerts` mails what has a runbook.
Only our tables are read: tasks store there what they learn of the peers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from registrar import breakers, configuration
from registrar.configuration import Connections
from registrar.grades import overview
from registrar.mapping.locked_names import CRITERIA, criterion_name
from registrar.models import Conflict, Effect, GradePoll, Hint, PeerState
from registrar.models.work import UNFINISHED, WorkState

INBOX_LATE = timedelta(minutes=15)
OUTBOX_LATE = timedelta(minutes=30)
"""Of effects that wait for nothing: a place may wait for its course for months."""
GRADES_LATE = timedelta(minutes=30)
"""Since the last run that has read all grades; one begins every five minutes."""
CHANNEL_MARGIN = timedelta(days=2)
"""A channel is renewed twice a day, so it has at least six days left."""
_CRITERIA_FIELDS = frozenset(map(criterion_name, CRITERIA))
PEER_NAMES = {"zoho": "Zoho CRM", "moodle": "Moodle"}


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """How many rows of a queue wait and have failed; since when the oldest one waits."""

    waiting: int = 0
    dead: int = 0
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that does not work.

    Args:
        key: identifies it, for alerts.
        message: what is wrong; ``advice``: what to do. Lazy, with ``%(name)s``.
        runbook: the file in docs/runbooks; "" for a fault of which nobody is mailed.
        page: the name of the admin page that shows the rows in question, with its query.
    """

    key: str
    message: str | Promise
    advice: str | Promise
    values: Mapping[str, Any] = field(default_factory=dict)
    runbook: str = ""
    page: tuple[str, str] | None = None

    @property
    def words(self) -> str:
        """What is wrong, in the active language."""
        return str(self.message) % self.values if self.values else str(self.message)


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the registrar."""

    now: datetime
    connections: Connections
    inbox: QueueFigures
    outbox: QueueFigures
    peers: Mapping[str, PeerState]
    conflicts: int
    grade_poll: GradePoll | None
    faults: tuple[Fault, ...]


def load(now: datetime) -> Health:
    """Return the state of both queues, both peers and the grades. Six queries.

    Raises:
        django.db.Error: the database does not answer.
    """
    connections = configuration.connections()
    # What waits for a module that is switched off is not late.
    read = ~Q(module__in=connections.paused)
    inbox = _figures(Hint, read)
    outbox = _figures(Effect, Q(waits_for="") & read)
    peers = {one.peer: one for one in PeerState.objects.all()}
    conflicts = Conflict.objects.count()
    grade_poll = overview.last_poll()
    faults = (
        *_secret_faults(connections),
        *_queue_faults(inbox, outbox, now),
        *(
            fault
            for one in peers.values()
            for fault in _peer_faults(one, connections, now)
        ),
        *_grade_faults(grade_poll, connections, now),
        *_paused_faults(connections),
        *_conflict_faults(conflicts),
    )
    return Health(now, connections, inbox, outbox, peers, conflicts, grade_poll, faults)


def _figures(model: Any, counts_as_late: Q) -> QueueFigures:
    waits = Q(state__in=UNFINISHED)
    found = model.objects.exclude(state=WorkState.DONE).aggregate(
        waiting=Count("pk", filter=waits),
        dead=Count("pk", filter=Q(state=WorkState.DEAD)),
        oldest=Min("created_at", filter=waits & counts_as_late),
    )
    return QueueFigures(**found)


def _secret_faults(connections: Connections) -> Iterator[Fault]:
    if connections.is_unreadable:
        yield Fault(
            "secrets",
            _("A stored secret cannot be read with the keys in MEMORA_SECRETS_KEYS."),
            _("Add the key that encrypted it, or enter the secret again."),
            runbook="registrar-credentials.md",
        )


def _queue_faults(
    inbox: QueueFigures, outbox: QueueFigures, now: datetime
) -> Iterator[Fault]:
    if inbox.oldest and now - inbox.oldest > INBOX_LATE:
        yield Fault(
            "inbox_late",
            _(
                "Records that Zoho has announced have not been read for %(minutes)d min."
            ),
            _(
                "The pages show older values meanwhile; nothing is lost. Check that a "
                "worker runs and that Zoho answers."
            ),
            {"minutes": (now - inbox.oldest).total_seconds() // 60},
            "registrar-inbox-late.md",
            ("hint", "state__exact=pending"),
        )
    if outbox.oldest and now - outbox.oldest > OUTBOX_LATE:
        yield Fault(
            "outbox_late",
            _("Changes have waited for Moodle or Zoho for %(minutes)d min."),
            _(
                "They are sent as soon as the system answers; nothing is lost. Check "
                "that a worker runs and that Moodle answers."
            ),
            {"minutes": (now - outbox.oldest).total_seconds() // 60},
            "registrar-outbox-late.md",
            ("effect", "state__exact=pending"),
        )
    if inbox.dead:
        yield Fault(
            "inbox_dead",
            _("Records that could not be read and are not tried again: %(count)d."),
            _("Read the error, solve its cause, and process them again."),
            {"count": inbox.dead},
            "registrar-dead-letters.md",
            ("hint", "state__exact=dead"),
        )
    if outbox.dead:
        yield Fault(
            "outbox_dead",
            _("Changes that Moodle or Zoho has refused: %(count)d."),
            _(
                "Correct the record in Zoho, which sends it again by itself; or solve "
                "the cause in Moodle and send them again."
            ),
            {"count": outbox.dead},
            "registrar-dead-letters.md",
            ("effect", "state__exact=dead"),
        )


def _peer_faults(
    state: PeerState, connections: Connections, now: datetime
) -> Iterator[Fault]:
    name = PEER_NAMES.get(state.peer, state.peer)
    values = {"peer": name, "error": state.last_error}
    if state.needs_staff:
        yield Fault(
            f"credentials_{state.peer}",
            _("%(peer)s does not accept our account: %(error)s"),
            _(
                "Enter a new token or give the account its permissions back. Until "
                "then nothing is read from it or sent to it."
            ),
            values,
            "registrar-credentials.md",
        )
    elif state.failures >= breakers.FAILURES:
        yield Fault(
            f"away_{state.peer}",
            _("%(peer)s does not answer: %(error)s"),
            _("It is tried again by itself, at least every two minutes."),
            values,
        )
    yield from _zoho_faults(state, connections, now)
    yield from _access_faults(state)


def _zoho_faults(
    state: PeerState, connections: Connections, now: datetime
) -> Iterator[Fault]:
    expires = state.channel_expires_at
    is_late = expires is not None and expires - now < CHANNEL_MARGIN
    if is_late and connections.webhooks.token:
        yield Fault(
            "channel",
            _("Zoho's notifications end at %(time)s (UTC), or have ended."),
            _(
                "The channel could not be renewed. Changes and deletions still arrive, "
                "up to 15 minutes late."
            ),
            {"time": f"{expires:%Y-%m-%d %H:%M}"},
            "registrar-channel.md",
        )
    names = [
        f"{module}.{name}"
        for module, names in sorted(state.missing_names.items())
        for name in names
        if name not in _CRITERIA_FIELDS
    ]
    if names:
        yield Fault(
            "names",
            _("Zoho CRM no longer has these fields: %(names)s."),
            _(
                "Their columns keep the last value. Give the fields their old API names "
                "back in Zoho (Settings, APIs)."
            ),
            {"names": ", ".join(names)},
            "registrar-names.md",
        )
    yield from _criteria_faults(state)


def of_templates() -> list[Fault]:
    """Return what keeps every template from being published. One query."""
    return [
        fault
        for state in PeerState.objects.filter(peer="zoho")
        for fault in _criteria_faults(state)
    ]


def _criteria_faults(state: PeerState) -> Iterator[Fault]:
    if _CRITERIA_FIELDS.intersection(state.missing_names.get("BTEC_Units", ())):
        yield Fault(
            "criteria_names",
            _("Zoho CRM has no field for the criteria of a unit."),
            _(
                "Without criteria no template is published. Add text fields with the "
                "API names P1_description, M1_description, D1_description and so on to "
                "BTEC_Units, or permit the account to see them."
            ),
            runbook="registrar-names.md",
            page=("template", ""),
        )


def _access_faults(state: PeerState) -> Iterator[Fault]:
    if state.players_losing is not None:
        yield Fault(
            "access_stopped",
            _(
                "Registrations change nothing for players: %(count)d of them would "
                "lose something at once."
            ),
            _(
                "Until a person decides, nothing is given and nothing is taken away. "
                "Look at what would happen, and permit it or correct it in Zoho."
            ),
            {"count": state.players_losing},
            "registrar-access-stopped.md",
            ("programaccess", ""),
        )


def _grade_faults(
    poll: GradePoll | None, connections: Connections, now: datetime
) -> Iterator[Fault]:
    if poll is None or connections.moodle is None:
        return
    waited = now - (poll.polled_at or poll.first_tried_at)
    if waited > GRADES_LATE:
        yield Fault(
            "grades_late",
            _("Grades have not been read from Moodle for %(minutes)d min. %(error)s"),
            _(
                "The next run begins where the last one has stopped; nothing is lost. "
                "Check that a worker runs and that Moodle answers."
            ),
            {"minutes": waited.total_seconds() // 60, "error": poll.last_error},
            "registrar-grades-late.md",
            ("moodlegrade", ""),
        )


def _paused_faults(connections: Connections) -> Iterator[Fault]:
    if connections.paused:
        yield Fault(
            "paused",
            _("Modules that are switched off: %(names)s."),
            _(
                "They are neither read from Zoho nor sent. What arrives waits and is not "
                "lost. Switch them on in the registrar settings."
            ),
            {"names": ", ".join(sorted(connections.paused))},
        )


def _conflict_faults(conflicts: int) -> Iterator[Fault]:
    if conflicts:
        yield Fault(
            "conflicts",
            _("Values in Zoho that are not understood: %(count)d."),
            _("Correct them in Zoho; each line of the list says how."),
            {"count": conflicts},
            page=("conflict", ""),
        )
