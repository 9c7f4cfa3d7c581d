"""What was paid before: first completions, records and repeats of lessons."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
from django.db import connection
from django.db.models import Max, Q, Subquery
from django.db.models.functions import Coalesce

from core.db import parameter_marks, utc_time
from progress.models import ArchivedInteraction, InteractionLog, InteractionType
from progress.services.ledger.rows import whole


def lesson_histories(
    player_id: int, lesson_ids: Collection[str]
) -> dict[str, tuple[bool, int]]:
    """Return whether a first completion was paid, and the most hearts. One query.

    Of the player's own completions, also those before a reset of the lesson. In a season
    that began without the progress of before, (False, 0) for a lesson that was completed
    only before.

    By the lesson, not its bit: in another subject a moved lesson has a new bit without
    progress, but its first completion and its records are paid once. A lesson that was
    never completed is left out.
    """
    resets = Q(player_id=player_id, type=InteractionType.SUBJECT_RESET)
    begins = Coalesce(
        # Archived rows are before all others.
        *(
            Subquery(model.objects.filter(resets).order_by("-seq").values("seq")[:1])
            for model in (InteractionLog, ArchivedInteraction)
        ),
        0,
    )
    found: dict[str, tuple[bool, int]] = {}
    for lesson_id, most in whole(
        lambda rows: (
            rows.filter(
                player_id=player_id,
                reference_id__in=lesson_ids,
                type=InteractionType.LESSON_COMPLETED,
            )
            .values_list("reference_id")
            .annotate(most=Max("best_hearts", filter=Q(seq__gt=begins)))
        )
    ):
        is_paid, before = found.get(lesson_id, (False, 0))
        found[lesson_id] = is_paid or most is not None, max(most or 0, before)
    return found


@dataclass(frozen=True, slots=True)
class Paid:
    """What was paid of some lessons: first completions, and repeats by lesson and day.

    A repeat is a completion that is neither the lesson's first nor a record.
    """

    firsts: frozenset[str]
    repeats: Counter[tuple[str, date]]


# Parts, because each has its index. Constant text: Django compiles such a query anew in
# more time than it takes.
_PAID = """
SELECT reference_id, CAST(day AS CHAR), first_of, data FROM {table}
WHERE player_id = %s AND type = %s AND first_of IN ({lessons})
UNION ALL SELECT reference_id, CAST(day AS CHAR), first_of, data FROM {table}
WHERE player_id = %s AND type = %s AND first_of IS NULL AND xp > 0
  AND day IN ({days}) AND reference_id IN ({lessons})
"""
_PAID_WHOLE = " UNION ALL ".join(
    _PAID.replace("{table}", model._meta.db_table)
    for model in (InteractionLog, ArchivedInteraction)
)


def paid_of(
    player_id: int, lesson_ids: Collection[str], days: Collection[date]
) -> Paid:
    """Return the first completions of lessons, and their repeats on days. One query.

    Args:
        lesson_ids, days: neither is empty.
    """
    completed = player_id, InteractionType.LESSON_COMPLETED
    on = [day.isoformat() for day in days]
    values: list[Any] = [*completed, *lesson_ids, *completed, *on, *lesson_ids]
    marks = {
        "lessons": parameter_marks(len(lesson_ids)),
        "days": parameter_marks(len(on)),
    }
    with connection.cursor() as cursor:
        cursor.execute(_PAID_WHOLE.format(**marks), [*values, *values])
        found = cursor.fetchall()
    return Paid(
        frozenset(first_of for _lesson, _day, first_of, _data in found if first_of),
        Counter(
            (lesson_id, date.fromisoformat(day))
            for lesson_id, day, first_of, data in found
            if first_of is None and not orjson.loads(data)["answer"]["is_new_record"]
        ),
    )


def completed_of(player_id: int, lesson_ids: Collection[str]) -> set[str]:
    """Return those of the lessons that the player has completed. One query."""
    rows = whole(
        lambda rows: rows.filter(
            player_id=player_id, first_of__in=lesson_ids
        ).values_list("first_of")
    )
    return {lesson_id for (lesson_id,) in rows}


_FIRSTS = """
SELECT seq, first_of, CAST(occurred_at AS CHAR) FROM {table}
WHERE player_id = %s AND seq > %s AND seq <= %s AND first_of IS NOT NULL
"""
_FIRSTS_WHOLE = (
    " UNION ALL ".join(
        _FIRSTS.replace("{table}", model._meta.db_table)
        for model in (InteractionLog, ArchivedInteraction)
    )
    + "ORDER BY 1"
)


def first_completions(player_id: int, *, after: int, last: int) -> dict[str, datetime]:
    """Return the lessons of first completions, and when; in their order. One query.

    Args:
        after, last: those after the first position, up to the second one.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FIRSTS_WHOLE, [player_id, after, last] * 2)
        return {lesson_id: utc_time(at) for _seq, lesson_id, at in cursor.fetchall()}
