"""Reviews of items a player has met; see docs/architecture.md, "Reviews".

A card is a reviewable item of a lesson that the player has completed. The ledger
records the completed lessons, so cards are created from it on the next request
(`_meet`), and a completion writes only its own row.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, Min, OuterRef, Q
from django.utils.translation import gettext as _

from core.errors import MemoraError
from players.errors import NotEntitledError
from players.services import access
from progress import scheduler, store
from progress.errors import InvalidBodyError
from progress.models import InteractionLog, InteractionType, ReviewCard
from progress.scheduler import Memory
from progress.services import calendar, ledger
from progress.services.completion import key_conflict
from progress.services.progress import require_subject
from publishing import api
from publishing.api import LessonEntry, PlanStructure

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rating:
    """One answer: 1 again, 2 hard, 3 good, 4 easy; ``reviewed_at`` None is now."""

    item_id: str
    lesson_id: str
    rating: int
    reviewed_at: datetime | None = None


# --- What is due ------------------------------------------------------------


def overview(*, player_id: int, now: datetime) -> dict[str, Any]:
    """How many items the player has met and how many are due, by subject.

    Only lessons of the plan's release that the player may open count.

    Raises:
        NotEnrolledError, NotPublishedError: the player has no plan to read.
    """
    plan, lessons = _open_lessons(player_id, now)
    _meet(player_id, set(lessons))
    subjects = {subject_id: _Sum() for subject_id in plan.subjects}
    everything = _Sum()
    cards = (
        ReviewCard.objects.filter(player_id=player_id)
        .order_by()
        .values_list("lesson_id")
        .annotate(
            total=Count("pk"),
            due=Count("pk", filter=Q(due_at__lte=now)),
            soonest=Min("due_at"),
        )
    )
    for lesson_id, total, due, soonest in cards:
        if lesson_id in lessons:
            for summed in (subjects[lessons[lesson_id].subject_id], everything):
                summed.add(total, due, soonest)
    return {
        **everything.as_answer(),
        "subjects": [
            {"subject_id": subject_id, **summed.as_answer()}
            for subject_id, summed in subjects.items()
        ],
    }


@dataclass(slots=True)
class _Sum:
    total: int = 0
    due: int = 0
    next_due_at: datetime | None = None

    def add(self, total: int, due: int, soonest: datetime) -> None:
        self.total += total
        self.due += due
        self.next_due_at = min(self.next_due_at or soonest, soonest)

    def as_answer(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "due": self.due,
            "next_due_at": _text(self.next_due_at),
        }


def due(
    *, player_id: int, subject_id: str | None, limit: int, now: datetime
) -> dict[str, Any]:
    """The items to review now, longest due first, at most ``limit``.

    Args:
        subject_id: only of this subject; None: of all.

    Raises:
        NotEnrolledError, NotPublishedError: the player has no plan to read.
        InvalidSubjectError: the subject is not in it.
    """
    plan, lessons = _open_lessons(player_id, now)
    if subject_id is not None:
        require_subject(plan, subject_id)
        lessons = {
            lesson.id: lesson
            for lesson in lessons.values()
            if lesson.subject_id == subject_id
        }
    _meet(player_id, set(lessons))
    found: list[dict[str, Any]] = []
    cards = ReviewCard.objects.filter(player_id=player_id, due_at__lte=now)
    rows = cards.order_by("due_at", "pk").values_list(
        "item_id", "lesson_id", "due_at", "last_reviewed_at"
    )
    for item_id, lesson_id, due_at, last in rows.iterator(chunk_size=500):
        if len(found) == limit:
            break
        if lesson_id in lessons:
            found.append(
                {
                    "item_id": item_id,
                    "lesson_id": lesson_id,
                    "subject_id": lessons[lesson_id].subject_id,
                    "due_at": _text(due_at),
                    "last_reviewed_at": _text(last),
                }
            )
    return {"items": found}


def _open_lessons(
    player_id: int, now: datetime
) -> tuple[PlanStructure, Mapping[str, LessonEntry]]:
    player_access = access.of_player(player_id)
    plan = api.load_plan(access.require_enrolled(player_access))
    lessons = {}
    for lesson in plan.lessons.values():
        try:
            access.require_entitled(player_access, lesson, now.timestamp())
        except NotEntitledError:
            continue
        lessons[lesson.id] = lesson
    return plan, lessons


def _meet(player_id: int, lesson_ids: set[str]) -> None:
    """Make the cards of lessons completed since cards were last asked for."""
    cards = ReviewCard.objects.filter(
        player_id=player_id, lesson_id=OuterRef("first_of")
    )
    completed = (
        InteractionLog.objects.filter(player_id=player_id, first_of__isnull=False)
        .exclude(Exists(cards))
        .order_by("pk")
        .values_list("first_of", "subject_id", "created_at")
    )
    fresh = [
        _card(player_id, item_id, lesson_id, subject_id, scheduler.met(at))
        for lesson_id, subject_id, at in completed
        if lesson_id is not None and lesson_id in lesson_ids
        for item_id in api.reviewable_items(lesson_id)
    ]
    if fresh:
        # Two requests may make them at once; the first one's stay.
        ReviewCard.objects.bulk_create(fresh, ignore_conflicts=True, batch_size=500)


def _card(
    player_id: int, item_id: str, lesson_id: str, subject_id: str, held: Memory
) -> ReviewCard:
    return ReviewCard(
        player_id=player_id,
        item_id=item_id,
        lesson_id=lesson_id,
        subject_id=subject_id,
        state=held.state,
        due_at=held.due_at,
        last_reviewed_at=held.last_reviewed_at,
    )


# --- Answers ----------------------------------------------------------------


def submit(
    *,
    player_id: int,
    ratings: Sequence[Rating],
    idempotency_key: str | None,
    now: datetime,
) -> dict[str, Any]:
    """Record a batch of answers: all of them or none.

    Args:
        idempotency_key: the client's name for this batch; a repeat changes nothing
            and is answered as the first one was.

    Raises:
        NotEnrolledError, NotPublishedError: the player has no plan to read.
        InvalidBodyError: an item the player has not met; names which.
        IdempotencyConflictError: the key named another request.
    """
    fingerprint = _fingerprint(ratings)
    try:
        _plan, lessons = _open_lessons(player_id, now)
        _meet(player_id, {rated.lesson_id for rated in ratings} & set(lessons))
        with transaction.atomic():
            answer = _record(player_id, ratings, idempotency_key, fingerprint, now)
    except (MemoraError, IntegrityError):
        # Refused now, but perhaps this is the repeat of what was accepted.
        first = _first_answer(player_id, idempotency_key, fingerprint)
        if first is None:
            raise
        return first
    _note_played(player_id, now)
    return answer


def _record(
    player_id: int,
    ratings: Sequence[Rating],
    idempotency_key: str | None,
    fingerprint: str,
    now: datetime,
) -> dict[str, Any]:
    cards = _locked_cards(player_id, ratings)
    for index, rated in enumerate(ratings):
        card = cards.get((rated.lesson_id, rated.item_id))
        if card is None:
            raise InvalidBodyError(
                _("You have not met this item yet: complete its lesson first."),
                field=f"reviews[{index}].item_id",
            )
        # A client whose clock runs ahead reviews now, not in the future.
        at = min(rated.reviewed_at or now, now)
        held = scheduler.review(card.state, rating=rated.rating, at=at)
        card.state, card.due_at = held.state, held.due_at
        card.last_reviewed_at = held.last_reviewed_at
    answer = {
        "accepted": len(ratings),
        "reviews": [
            {"item_id": item_id, "lesson_id": lesson_id, "due_at": _text(card.due_at)}
            for (lesson_id, item_id), card in cards.items()
        ],
    }
    rows = [_row(player_id, rated, cards, now) for rated in ratings]
    if idempotency_key is not None:
        rows[0].idempotency_key = ledger.key_hash(idempotency_key)
        rows[0].data |= {"answer": answer, "fingerprint": fingerprint}
    ledger.append_all(rows)
    ReviewCard.objects.bulk_update(
        cards.values(), ["state", "due_at", "last_reviewed_at"]
    )
    return answer


def _locked_cards(
    player_id: int, ratings: Sequence[Rating]
) -> dict[tuple[str, str], ReviewCard]:
    """The rated cards, locked, in the order they were first rated."""
    wanted = dict.fromkeys((rated.lesson_id, rated.item_id) for rated in ratings)
    rows = ReviewCard.objects.select_for_update().filter(
        player_id=player_id,
        lesson_id__in={lesson_id for lesson_id, _item in wanted},
        item_id__in={item_id for _lesson, item_id in wanted},
    )
    found = {(card.lesson_id, card.item_id): card for card in rows.order_by("pk")}
    return {key: found[key] for key in wanted if key in found}


def _row(
    player_id: int,
    rated: Rating,
    cards: Mapping[tuple[str, str], ReviewCard],
    now: datetime,
) -> InteractionLog:
    return InteractionLog(
        player_id=player_id,
        type=InteractionType.REVIEW,
        reference_id=rated.item_id,
        subject_id=cards[rated.lesson_id, rated.item_id].subject_id,
        data={
            "lesson_id": rated.lesson_id,
            "rating": rated.rating,
            "reviewed_at": _text(rated.reviewed_at),
        },
        day=calendar.day_of(now),
        created_at=now,
    )


def _first_answer(
    player_id: int, idempotency_key: str | None, fingerprint: str
) -> dict[str, Any] | None:
    if idempotency_key is None:
        return None
    first = ledger.first_with_key(player_id, idempotency_key)
    if first is None:
        return None
    if first.data.get("fingerprint") != fingerprint:
        raise key_conflict()
    answer = first.data["answer"]
    # A database may keep JSON's keys in an order of its own.
    return {
        "accepted": answer["accepted"],
        "reviews": [
            {key: review[key] for key in ("item_id", "lesson_id", "due_at")}
            for review in answer["reviews"]
        ],
    }


def _fingerprint(ratings: Sequence[Rating]) -> str:
    body = orjson.dumps([asdict(rated) for rated in ratings])
    return hashlib.sha256(body).hexdigest()


def _note_played(player_id: int, now: datetime) -> None:
    try:
        store.note_played(player_id, now)
    except store.StoreUnavailableError as error:
        log.warning("wallet_not_updated", player=player_id, error=type(error).__name__)


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()
