"""Closing a season: its rows leave the hot tables; see docs/architecture.md, "Seasons".

A few players at a time, in one transaction: their rows move to the archive's tables, and
their baselines are computed from all that is archived of them. So a run may stop at any
line and be repeated. The rows that move are the first ones of a player's log. The last
one always stays, so its position is that of the log.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import F, Max, Min, Q, Value
from django.utils.translation import gettext as _

from core import statement_guard
from core.db import retry_on_conflict
from core.folding import fold
from plans.models import Season
from players.services import selection
from progress import bitmap
from progress.models import (
    ArchivedInteraction,
    ArchivedRating,
    Baseline,
    BaselineSubject,
    ClosedSeason,
    Interaction,
    InteractionLog,
    ReviewRating,
    StatisticsWatermark,
)
from progress.services import ledger, lesson_counting

log = structlog.get_logger(__name__)

KEPT = timedelta(days=14)
"""Rows received in this time stay: the write-back, reconciliation, the dashboard, and
late days of offline work read them."""
CHUNK = 5
"""How many players wait while their rows move, some 1,000 rows."""


class SeasonError(Exception):
    """The season cannot be closed, read or restored; the message states why."""


@dataclass(slots=True)
class Moved:
    """How many players have had rows moved, and how many rows of both logs."""

    players: int = 0
    ledger: int = 0
    ratings: int = 0

    def add(self, other: "Moved") -> None:
        self.players += other.players
        self.ledger += other.ledger
        self.ratings += other.ratings


def find(text: str) -> Season:
    """Return the season with this title or number.

    Raises:
        SeasonError: there is none.
    """
    seasons = Season.objects.filter(title_folded=fold(text))
    found: Season | None = seasons.first()
    if found is None and selection.is_number(text):
        found = Season.objects.filter(pk=int(text)).first()
    if found is None:
        raise SeasonError(_("There is no season “%(name)s”.") % {"name": text})
    return found


def close(
    season: Season,
    *,
    until: datetime | None,
    is_dry_run: bool = False,
    now: datetime,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[datetime, Moved]:
    """Archive the rows of all players that were received before a time.

    Safe to stop and to repeat, and while students play: the writers of `CHUNK` players
    wait for one short transaction. Erased players are left out.

    Args:
        until: None: that of the first run, or `KEPT` ago.
        is_dry_run: count what would be archived.
        progress: called after each chunk with how many players are done, of how many.

    Returns:
        The time, and what was archived now.

    Raises:
        SeasonError: the time is later than `KEPT` ago, another one than that of an
            earlier run, or not after the seasons that are closed.
        DatabaseError: the database does not answer; earlier chunks are committed.
    """
    until = _require_until(season, until, now)
    if not is_dry_run:
        ClosedSeason.objects.get_or_create(
            pk=season.pk, defaults={"until": until, "started_at": now}
        )
        # A row is archived only once the statistics have counted it.
        lesson_counting.sync_pending()
    total, done, moved = selection.count_everyone(), 0, Moved()
    for players in selection.everyone(CHUNK):
        if is_dry_run:
            moved.add(_count(players, until))
        else:
            moved.add(retry_on_conflict(partial(_archive, season.pk, until, players)))
        done += len(players)
        progress(done, total)
    if not is_dry_run:
        ClosedSeason.objects.filter(pk=season.pk).update(finished_at=now)
        log.info("season_closed", season=season.pk, rows=moved.ledger)
    return until, moved


def restore(
    season: Season,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Moved:
    """Move the rows of the season that was closed last back, as if it were open.

    Safe to stop and to repeat.

    Raises:
        SeasonError: the season is not closed, or another one was closed later.
    """
    closed = require_closed(season)
    if ClosedSeason.objects.filter(until__gt=closed.until).exists():
        raise SeasonError(_("Restore the season that was closed last first."))
    total, done, moved = selection.count_everyone(), 0, Moved()
    for players in selection.everyone(CHUNK):
        moved.add(retry_on_conflict(partial(_restore, season.pk, players)))
        done += len(players)
        progress(done, total)
    closed.delete()
    log.info("season_restored", season=season.pk, rows=moved.ledger)
    return moved


def rows_of(season: Season) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the season's archived rows, by player: those of the ledger, then ratings.

    Each with "ledger" or "rating". A season that is not closed has none.
    """
    for players in selection.everyone(CHUNK):
        for name, model, position in (
            ("ledger", ArchivedInteraction, "seq"),
            ("rating", ArchivedRating, "position"),
        ):
            rows = model.objects.filter(player_id__in=players, season_id=season.pk)
            for row in rows.order_by("player_id", position).values():
                del row["id"], row["season_id"]
                yield name, row


def require_closed(season: Season) -> ClosedSeason:
    """Return the season's closing.

    Raises:
        SeasonError: the season is not closed.
    """
    closed = ClosedSeason.objects.filter(pk=season.pk).first()
    if closed is None:
        raise SeasonError(
            _("The season “%(name)s” is not closed.") % {"name": season.title}
        )
    return closed


def _require_until(season: Season, until: datetime | None, now: datetime) -> datetime:
    closed = ClosedSeason.objects.filter(pk=season.pk).first()
    if closed is not None:
        if until not in (None, closed.until):
            raise SeasonError(
                _("The season is closed until %(time)s; another time is not possible.")
                % {"time": closed.until.isoformat()}
            )
        return closed.until
    latest = now - KEPT
    if until is None:
        until = latest
    if until > latest:
        raise SeasonError(
            _("Rows of the last %(days)d days stay: the latest time is %(time)s.")
            % {"days": KEPT.days, "time": latest.isoformat(timespec="minutes")}
        )
    if ClosedSeason.objects.filter(until__gte=until).exists():
        raise SeasonError(_("A season that is closed ends at this time or later."))
    return until


# --- One chunk of players -------------------------------------------------------------


def _ends(
    players: Collection[int], until: datetime
) -> tuple[dict[int, int], dict[int, int]]:
    """Return the positions up to which rows of the ledger and ratings move, by player.

    Three queries. Rows that come meanwhile change nothing: they are later.
    """
    marks = StatisticsWatermark.objects.filter(pk__in=players).values_list(
        "pk", "ledger_position", "ratings_position"
    )
    counted = {pk: positions for pk, *positions in marks}
    found: list[dict[int, int]] = []
    logs: Sequence[tuple[Any, str]] = (
        (InteractionLog, "seq"),
        (ReviewRating, "position"),
    )
    for place, (model, position) in enumerate(logs):
        ends: dict[int, int] = {}
        for player_id, first, last, kept in (
            model.objects.filter(player_id__in=players)
            .order_by()
            .values_list("player_id")
            .annotate(
                Min(position),
                Max(position),
                kept=Min(position, filter=Q(received_at__gte=until)),
            )
        ):
            # All before the last one, and before the first one that stays.
            end = last - 1 if kept is None else min(last, kept) - 1
            # A row is archived only once the statistics have counted it.
            end = min(end, counted.get(player_id, (0, 0))[place])
            if end >= first:
                ends[player_id] = end
        found.append(ends)
    return found[0], found[1]


def _up_to(position: str, ends: Mapping[int, int]) -> Q:
    condition = Q(pk__in=[])
    for player_id, end in sorted(ends.items()):
        condition |= Q(("player_id", player_id), (f"{position}__lte", end))
    return condition


def _count(players: Sequence[int], until: datetime) -> Moved:
    ends, rating_ends = _ends(players, until)
    return Moved(
        len({*ends, *rating_ends}),
        InteractionLog.objects.filter(_up_to("seq", ends)).count(),
        ReviewRating.objects.filter(_up_to("position", rating_ends)).count(),
    )


@transaction.atomic
def _archive(season_id: int, until: datetime, players: Sequence[int]) -> Moved:
    ends, rating_ends = _ends(players, until)
    left = ledger.lock({*ends, *rating_ends})
    ends = {pk: end for pk, end in ends.items() if pk in left}
    rating_ends = {pk: end for pk, end in rating_ends.items() if pk in left}
    rows = InteractionLog.objects.filter(_up_to("seq", ends))
    ratings = ReviewRating.objects.filter(_up_to("position", rating_ends))
    moved = Moved(
        len(left),
        _move(rows, ArchivedInteraction, season_id) if ends else 0,
        _move(ratings, ArchivedRating, season_id) if rating_ends else 0,
    )
    _write_baselines(ends)
    return moved


@transaction.atomic
def _restore(season_id: int, players: Sequence[int]) -> Moved:
    left = ledger.lock(players)
    if not left:
        return Moved()
    own = {"player_id__in": left, "season_id": season_id}
    moved = Moved(
        0,
        _move(ArchivedInteraction.objects.filter(**own), InteractionLog),
        _move(ArchivedRating.objects.filter(**own), ReviewRating),
    )
    if moved.ledger or moved.ratings:
        moved.players = len(left)
        _write_baselines(left)
    return moved


def _move(rows: Any, target: Any, season_id: int | None = None) -> int:
    """Move rows to a table with the same columns; return how many. Two statements."""
    model = InteractionLog if issubclass(target, Interaction) else ReviewRating
    names = [field.attname for field in model._meta.concrete_fields]
    names.remove("id")
    values: list[Any] = [F(name) for name in names]
    if season_id is not None:
        names.append("season_id")
        values.append(Value(season_id))
    columns = ", ".join(map(connection.ops.quote_name, names))
    table = connection.ops.quote_name(target._meta.db_table)
    selected = rows.order_by().values_list(*values)
    select, parameters = selected.query.sql_with_params()
    with statement_guard.rewriting(), connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({columns}) {select}", parameters)
        # `delete()` would read the rows first.
        return int(rows.order_by()._raw_delete(rows.db))


def _write_baselines(players: Collection[int]) -> None:
    """Compute the baselines of players from all their archived rows. Six statements."""
    if not players:
        return
    Baseline.objects.filter(pk__in=players).delete()
    BaselineSubject.objects.filter(player_id__in=players).delete()
    Baseline.objects.bulk_create(
        Baseline(player_id=player_id, seq=seq, days=days)
        for player_id, (seq, days) in ledger.archived_days(players).items()
    )
    BaselineSubject.objects.bulk_create(
        _subject(*key, found)
        for key, found in ledger.archived_subjects(players).items()
    )


def _subject(
    player_id: int, subject_id: str, found: ledger.ArchivedSubject
) -> BaselineSubject:
    progress = found.progress
    row = BaselineSubject(
        player_id=player_id,
        subject_id=subject_id,
        seq=found.seq,
        last_seq=found.last_seq,
        progress_bitmap=bitmap.encode(progress.bitmap),
        hearts=bitmap.encode(progress.hearts),
        xp=progress.xp,
    )
    if progress.last_played is not None:
        row.last_played_at, row.last_played_bit = progress.last_played
    return row
