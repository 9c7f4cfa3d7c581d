"""Progress in subjects, from the sums of a player's rows of each progress bit."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import F, IntegerField, Max, Q, Value

from core.db import parameter_marks, utc_time
from players.player_state import LastPlayed, SubjectProgress
from progress import bitmap
from progress.models import (
    PROGRESS_TYPES,
    ArchivedInteraction,
    BaselineSubject,
    InteractionLog,
    InteractionType,
)


def subjects_of_player(
    player_id: int, subject_ids: Collection[str], seq: int
) -> dict[str, SubjectProgress]:
    """Return the player's progress in each subject at a position. One query, or none."""
    if not subject_ids:
        return {}
    found = _subjects(
        f"player_id = %s AND seq <= %s AND subject_id IN ({parameter_marks(len(subject_ids))})",
        [player_id, seq, *subject_ids],
    )
    nothing = 0, SubjectProgress()
    return {one: found.get((player_id, one), nothing)[1] for one in subject_ids}


def subjects_at(
    positions: Mapping[tuple[int, str], int],
) -> dict[tuple[int, str], SubjectProgress]:
    """Return the progress of players in subjects, each at a position. One query.

    For many subjects, `subjects_of` is much faster.

    Args:
        positions: by player and subject.
    """
    found = dict.fromkeys(positions, SubjectProgress())
    if not found:
        return found
    one = "player_id = %s AND seq <= %s AND subject_id = %s"
    rows = _subjects(
        f"({' OR '.join([one] * len(positions))})",
        [
            value
            for (player_id, subject_id), seq in positions.items()
            for value in (player_id, seq, subject_id)
        ],
    )
    return found | {key: progress for key, (_last, progress) in rows.items()}


def subjects_of(
    wanted: Collection[tuple[int, str]],
) -> dict[tuple[int, str], tuple[int, SubjectProgress]]:
    """Return the progress of players in subjects, as it is now. One query, or none.

    Args:
        wanted: player and subject of each.

    Returns:
        The position of the last row of `PROGRESS_TYPES`, and the progress with it. A
        subject without such rows is left out.
    """
    if not wanted:
        return {}
    # More than is wanted, when players differ in their subjects: a condition for each
    # pair takes longer.
    players = {player_id for player_id, _subject in wanted}
    subjects = {subject_id for _player, subject_id in wanted}
    found = _subjects(
        f"player_id IN ({parameter_marks(len(players))}) AND subject_id IN ({parameter_marks(len(subjects))})",
        [*players, *subjects],
    )
    return {key: one for key, one in found.items() if key in wanted and one[0]}


# One row for each progress bit of a player, with the aggregates of `best_hearts`. Constant
# text, because Django compiles the same query in more time than the database needs for it;
# times are texts for the same reason. The last two columns are those of a baseline.
_BITS = """
SELECT player_id, subject_id, bit_index, CAST(SUM(xp) AS SIGNED),
  MAX(CASE WHEN type IN (%s, %s, %s, %s) THEN seq END), MAX(seq),
  CAST(MAX(CASE WHEN type IN (%s, %s) THEN occurred_at END) AS CHAR),
  MAX(best_hearts),
  MAX(CASE WHEN type IN (%s, %s) THEN seq * {hearts} + best_hearts END),
  MAX(CASE WHEN type IN (%s, %s) THEN seq END), '', ''
FROM {table} WHERE {condition} AND type IN (%s, %s, %s, %s, %s)
GROUP BY player_id, subject_id, bit_index
"""
_BASELINES = """
UNION ALL SELECT player_id, subject_id, last_played_bit, xp, seq, last_seq,
  CAST(last_played_at AS CHAR), NULL, NULL, NULL, progress_bitmap, hearts
FROM progress_baselinesubject WHERE {condition}
"""


def _subjects(
    condition: str, values: Sequence[Any]
) -> dict[tuple[int, str], tuple[int, SubjectProgress]]:
    """Return the progress, and the last completion's position; 0: only failures.

    Of the rows and the baselines with this condition. One query.
    """
    text = (_BITS + _BASELINES).format(
        table=InteractionLog._meta.db_table, hearts=_HEARTS, condition=condition
    )
    found = _unpacked_subjects(
        _read(text, [*_SUMMED, *values, *_TYPES, *values]),
    )
    return {key: (one.seq, one.progress) for key, one in found.items()}


def _read(text: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return [
            (
                *row[:2],
                *map(_number, row[2:6]),
                row[6],
                *map(_number, row[7:10]),
                *row[10:],
            )
            for row in cursor.fetchall()
        ]


def _number(value: Any) -> int | None:
    """Return an integer: a UNION of different integers is a decimal on MariaDB."""
    return None if value is None else int(value)


class ArchivedSubject(NamedTuple):
    """A player's progress in a subject from rows, and the positions of the last ones.

    ``seq`` is that of the last row of `PROGRESS_TYPES`, 0 without one; ``last_seq`` that
    of any type.
    """

    seq: int
    last_seq: int
    progress: SubjectProgress


def archived_subjects(
    player_ids: Collection[int],
) -> dict[tuple[int, str], ArchivedSubject]:
    """Return the progress of the archived rows of these players. One query."""
    if not player_ids:
        return {}
    text = _BITS.format(
        table=ArchivedInteraction._meta.db_table,
        hearts=_HEARTS,
        condition=f"player_id IN ({parameter_marks(len(player_ids))})",
    )
    return _unpacked_subjects(_read(text, [*_SUMMED, *player_ids, *_TYPES]))


def subject_heads(
    condition: Q, received_before: datetime | None = None
) -> dict[tuple[int, str], tuple[int, int | None]]:
    """Return the position of the last row of `PROGRESS_TYPES` in each subject.

    One query.

    Args:
        condition: on ``player_id``.

    Returns:
        By player and subject: the position, and that of the last row received before
        the time; None without one. Archived rows count as received before it.
    """
    settled = Q(received_at__lt=received_before) if received_before else Q(pk__in=[])
    rows = InteractionLog.objects.filter(condition, type__in=PROGRESS_TYPES)
    baselines = BaselineSubject.objects.filter(condition, seq__gt=0).order_by()
    none = Value(None, output_field=IntegerField())
    archived = F("seq") if received_before else none
    found: dict[tuple[int, str], tuple[int, int | None]] = {}
    for player_id, subject_id, last, before in (
        rows.order_by()
        .values_list("player_id", "subject_id")
        .annotate(last=Max("seq"), before=Max("seq", filter=settled))
        .union(
            baselines.values_list("player_id", "subject_id", "seq", archived), all=True
        )
    ):
        key = player_id, subject_id
        one, other = found.get(key, (0, None))
        positions = [at for at in (before, other) if at is not None]
        found[key] = max(last, one), max(positions, default=None)
    return found


class _Subject:
    """The sums of one subject's rows and baseline."""

    def __init__(self) -> None:
        self.seq = self.last_seq = self.xp = 0
        self.base: dict[int, int] = {}
        self.best: dict[int, int | None] = {}
        self.played: LastPlayed | None = None
        self._reset_at: int | None = None

    def found(self) -> ArchivedSubject:
        best = self.base | self.best
        return ArchivedSubject(
            self.seq,
            self.last_seq,
            bitmap.pack(
                {bit: most for bit, most in best.items() if most is not None},
                xp=self.xp,
                last_played=self.played,
            ),
        )

    def reset(self, seq: int) -> None:
        """Reset all lessons that were passed before a position, archived ones, too."""
        self.base, self._reset_at = {}, seq

    def add_hearts(self, bit: int, hearts: Sequence[int | None]) -> None:
        """Add the aggregates of `best_hearts` of rows that are not archived."""
        most, last_pass, last_reset = hearts
        if last_pass is None and last_reset is None:
            return  # only failures
        if self._reset_at is not None:
            last_reset = max(last_reset or 0, self._reset_at)
        now = hearts_now(most, last_pass, last_reset)
        if last_reset is not None:
            # What was before the reset does not count.
            self.best[bit] = now
        elif now is not None:
            self.best[bit] = max(now, self.base.get(bit, 0))


def _unpacked_subjects(
    rows: Iterable[tuple[Any, ...]],
) -> dict[tuple[int, str], ArchivedSubject]:
    found: dict[tuple[int, str], _Subject] = defaultdict(_Subject)
    # Baselines first, then the reset of a whole subject.
    for player_id, subject_id, bit, xp, last, last_row, at, *values in sorted(
        rows, key=lambda row: (row[-2] or "", row[2] is None), reverse=True
    ):
        *hearts, base_bitmap, base_hearts = values
        one = found[player_id, subject_id]
        one.xp += xp
        one.seq, one.last_seq = max(one.seq, last or 0), max(one.last_seq, last_row)
        one.base |= bitmap.unpack(base_bitmap, base_hearts)
        if bit is None:
            if hearts[-1] is not None:
                one.reset(hearts[-1])
            continue
        if at is not None:
            attempt = LastPlayed(utc_time(at), bit)
            one.played = max(one.played or attempt, attempt)
        one.add_hearts(bit, hearts)
    return {key: one.found() for key, one in found.items()}


_ATTEMPTS = (InteractionType.LESSON_COMPLETED, InteractionType.LESSON_FAILED)
_RESETS = (InteractionType.LESSON_RESET, InteractionType.SUBJECT_RESET)
_PASSES = (InteractionType.LESSON_COMPLETED, InteractionType.LESSON_GRANTED)
_HEARTS = 8
"""More than the most hearts."""

_SUMMED = (*PROGRESS_TYPES, *_ATTEMPTS, *_PASSES, *_RESETS)
_TYPES = (*PROGRESS_TYPES, InteractionType.LESSON_FAILED)


def best_hearts() -> dict[str, Any]:
    """Return the aggregates that `hearts_now` takes, of rows of one progress bit."""
    is_reset = Q(type__in=_RESETS)
    is_pass = Q(type__in=_PASSES)
    return {
        "most": Max("best_hearts"),
        # The position of the last row that passed the lesson, and its best hearts.
        "last_pass": Max(F("seq") * _HEARTS + F("best_hearts"), filter=is_pass),
        "last_reset": Max("seq", filter=is_reset),
    }


def hearts_now(
    most: int | None, last_pass: int | None, last_reset: int | None
) -> int | None:
    """Return the best hearts on a progress bit; None: it is not set.

    Best hearts never fall, unless the lesson is reset. After a reset, those of the last
    row that passed the lesson count.
    """
    if last_pass is None:
        return None
    if last_reset is None:
        return most
    seq, hearts = divmod(last_pass, _HEARTS)
    return hearts if seq > last_reset else None


def subjects_after(player_id: int, seq: int) -> set[str]:
    """Return the subjects of the rows after a position. One query."""
    rows = InteractionLog.objects.filter(player_id=player_id, seq__gt=seq).order_by()
    archived = BaselineSubject.objects.filter(player_id=player_id, last_seq__gt=seq)
    found = rows.values_list("subject_id").union(archived.values_list("subject_id"))
    return {subject_id for (subject_id,) in found}
