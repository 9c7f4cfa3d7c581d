"""Opening a season: what students do not keep is taken away; see docs/architecture.md.

Rows of the ledger say so, and everything that is computed from the ledger follows: no
row of before is changed. A few players at a time, in one transaction. A player whose
rows are there is left out, so a run may stop at any line and be repeated.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from core.db import retry_on_conflict
from plans.models import Season
from players import bulk_records
from players.models import PlayerProfile
from players.player_state import SubjectProgress, WalletState
from players.records import StoreUnavailableError
from players.services import selection
from progress.models import InteractionLog, InteractionType, OpenedSeason
from progress.services import ledger
from progress.streak import History

log = structlog.get_logger(__name__)

CARRIES = ("progress", "streak", "xp")
"""What students can keep: the lessons they passed, with hearts and each subject's XP; the
streak with its freezes; the wallet's XP."""
CHUNK = 5
"""How many players wait while their rows are added."""
_DAY = timedelta(days=1)


@dataclass(slots=True)
class Opened:
    """How many players have had something taken away, and how many rows say so."""

    players: int = 0
    rows: int = 0

    def add(self, other: "Opened") -> None:
        self.players += other.players
        self.rows += other.rows


def open_season(
    season: Season,
    *,
    is_dry_run: bool = False,
    clock: Callable[[], datetime] = timezone.now,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[list[str], Opened]:
    """Begin a season for all players: they keep what ``settings.SEASON_CARRIES`` names.

    Safe to stop and to repeat, and while students play: the writers of `CHUNK` players
    wait for one short transaction. A run that goes on uses the setting of the first one.
    Once a season is open, another run does nothing. Erased players, and those who were
    created after the first run, are left out.

    Records in Redis are deleted after each commit. While Redis does not answer, and
    after a crash at that moment, they are old until the reconciliation of the next
    minute; nothing is decided on them, because the ledger refuses it.

    Args:
        is_dry_run: count what would be added.
        clock: returns the time of a chunk.
        progress: called after each chunk with how many players are done, of how many.

    Returns:
        What the players keep, and what was added now.

    Raises:
        DatabaseError: the database does not answer; earlier chunks are committed.
    """
    opened = OpenedSeason.objects.filter(pk=season.pk).first() or OpenedSeason(
        season=season, carries=sorted(settings.SEASON_CARRIES), started_at=clock()
    )
    opened.season = season
    added = Opened()
    if opened.finished_at is not None:
        return opened.carries, added
    if not is_dry_run and opened._state.adding:
        opened.save(force_insert=True)
    if not set(CARRIES).issubset(opened.carries):
        total, done = selection.count_everyone(), 0
        for players in selection.everyone(CHUNK):
            if is_dry_run:
                added.add(_counted(_rows_of(opened, players, clock())))
            else:
                added.add(retry_on_conflict(partial(_open, opened, players, clock())))
            done += len(players)
            progress(done, total)
    if not is_dry_run:
        OpenedSeason.objects.filter(pk=season.pk).update(finished_at=clock())
        log.info("season_opened", season=season.pk, rows=added.rows)
    return opened.carries, added


def event_id_of(season_id: int) -> str:
    """Return the event id of the row that begins a season; no hash of a key is like it."""
    return f"season-{season_id}"


@transaction.atomic
def _open(opened: OpenedSeason, players: Sequence[int], now: datetime) -> Opened:
    # Before the first read: then no row can come between it and the rows below.
    ledger.lock(players)
    rows = _rows_of(opened, players, now)
    if rows:
        ledger.insert_new(rows)
        transaction.on_commit(partial(_drop, sorted({row.player_id for row in rows})))
    return _counted(rows)


def _drop(players: Sequence[int]) -> None:
    try:
        bulk_records.drop_wallets(players)
    except StoreUnavailableError as error:
        log.warning("records_not_dropped", error=type(error).__name__)


def _counted(rows: Collection[InteractionLog]) -> Opened:
    return Opened(len({row.player_id for row in rows}), len(rows))


def _rows_of(
    opened: OpenedSeason, players: Sequence[int], now: datetime
) -> list[InteractionLog]:
    """Return the rows that begin the season for those of the players who lack them.

    At most six queries.
    """
    profiles = _waiting(opened, players)
    wallets = ledger.wallets_of(list(profiles))
    subjects: dict[int, dict[str, SubjectProgress]] = {pk: {} for pk in profiles}
    if "progress" not in opened.carries:
        heads = ledger.subject_heads(Q(player_id__in=profiles))
        for (player_id, subject_id), (_seq, found) in sorted(
            ledger.subjects_of(heads.keys()).items()
        ):
            subjects[player_id][subject_id] = found
    histories: dict[int, History] = {}
    if "streak" not in opened.carries:
        histories = ledger.streak_histories(profiles)
    return [
        row
        for pk, profile in profiles.items()
        # Without rows there is nothing to take away.
        if wallets[pk].seq
        for row in _Player(
            opened, profile, wallets[pk], subjects[pk], histories.get(pk), now
        ).rows()
    ]


def _waiting(opened: OpenedSeason, players: Sequence[int]) -> dict[int, PlayerProfile]:
    """Return those whose season has not begun. Two queries."""
    event_id = event_id_of(opened.pk)
    known = {
        player_id
        for (player_id,) in ledger.whole(
            lambda rows: rows.filter(
                player_id__in=players, event_id=event_id
            ).values_list("player_id")
        )
    }
    waiting = PlayerProfile.objects.filter(
        pk__in=set(players) - known, erased_at=None, created_at__lt=opened.started_at
    )
    return {profile.pk: profile for profile in waiting.order_by("pk")}


@dataclass(frozen=True, slots=True)
class _Player:
    """A player at the end of the ledger, whose season is to begin.

    ``subjects`` has those whose progress is not kept, ``history`` a streak that is not
    kept.
    """

    opened: OpenedSeason
    profile: PlayerProfile
    wallet: WalletState
    subjects: Mapping[str, SubjectProgress]
    history: History | None
    now: datetime

    def rows(self) -> list[InteractionLog]:
        """Return the rows at their positions; the sums of each column become right."""
        others = [*self._subjects()]
        xp = 0 if "xp" in self.opened.carries else -self.wallet.total_xp
        season = InteractionLog(
            type=InteractionType.SEASON_OPENED,
            reference_id="season",
            # The wallet keeps the XP that is taken away from subjects, or loses all.
            xp=xp - sum(row.xp for row in others),
            data={
                "season": self.opened.pk,
                "title": self.opened.season.title,
                "carries": self.opened.carries,
            },
        )
        if self.history is not None:
            season.day = season.last_day = self._ended()
            gifts = [*_gifts(self.history, season.last_day)]
            season.freezes = -self.wallet.freezes - sum(row.freezes for row in gifts)
            others += gifts
        event_id = event_id_of(self.opened.pk)
        for number, row in enumerate([season, *others]):
            row.player_id, row.seq = self.profile.pk, self.wallet.seq + 1 + number
            row.event_id = f"{event_id}-{number}" if number else event_id
            row.occurred_at = row.received_at = self.now
        return [season, *others]

    def _ended(self) -> date | None:
        """Return the last day that does not count; None without a completed day."""
        last = self.wallet.last_success_date
        if last is None:
            return None
        # What was done today counts already.
        return min(last, self.profile.local_days.day_of(self.now) - _DAY)

    def _subjects(self) -> Iterator[InteractionLog]:
        for subject_id, progress in self.subjects.items():
            yield InteractionLog(
                type=InteractionType.SUBJECT_RESET,
                reference_id=subject_id,
                subject_id=subject_id,
                xp=-progress.xp,
            )


def _gifts(history: History, ended: date | None) -> Iterator[InteractionLog]:
    """Yield rows that take freezes away on the days from which they would count."""
    for day, number in sorted(history.given.items()):
        if ended is None or day > ended:
            yield InteractionLog(
                type=InteractionType.SEASON_OPENED,
                reference_id="streak",
                day=day,
                freezes=-number,
            )
