"""What was paid before: first completions, records and repeats of lessons."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from django.db.models import Max, Q, Subquery
from django.db.models.functions import Coalesce

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


def paid_of(
    player_id: int, lesson_ids: Collection[str], days: Collection[date]
) -> Paid:
    """Return the first completions of lessons, and their repeats on days. One query."""
    columns = ("reference_id", "day", "first_of", "data")
    completed = Q(player_id=player_id, type=InteractionType.LESSON_COMPLETED)
    repeated = Q(day__in=days, reference_id__in=lesson_ids, first_of=None, xp__gt=0)
    # Parts, because each has its index.
    parts = [
        model.objects.order_by().filter(completed, condition).values_list(*columns)
        for model in (InteractionLog, ArchivedInteraction)
        for condition in (Q(first_of__in=lesson_ids), repeated)
    ]
    found = list(parts[0].union(*parts[1:], all=True))
    return Paid(
        frozenset(first_of for _lesson, _day, first_of, _data in found if first_of),
        Counter(
            (lesson_id, day)
            for lesson_id, day, first_of, data in found
            if first_of is None and not data["answer"]["is_new_record"]
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
