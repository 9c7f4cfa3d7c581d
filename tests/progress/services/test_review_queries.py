"""The constant SQL answers what the models would, by the indexes meant for it."""

import random
from dataclasses import astuple
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count, Min, Q
from django.test.utils import CaptureQueriesContext

from core.parsing import time_text
from players.local_days import LocalDays
from progress import scheduler
from progress.api_types import DueItem, Intervals
from progress.models import ReviewCard, ReviewWatermark
from progress.services import review_queries
from tests.progress.conftest import MONDAY, enrolled

pytestmark = pytest.mark.django_db

SUBJECTS = ["SUBJ-A", "SUBJ-a", "SUBJ-B"]
"""Two of them differ only in case."""


@pytest.fixture
def other(plan):
    return enrolled(plan, "basma@example.com")


def add_cards(player, chance: random.Random, count: int) -> None:
    """Add cards; some have the same time, some times have no microseconds."""
    state = scheduler.met(MONDAY).state

    def moment() -> datetime:
        seconds = chance.randrange(-20, 20)
        micros = chance.choice([0, 0, 5, 120_000])
        return MONDAY + timedelta(seconds=seconds, microseconds=micros)

    ReviewCard.objects.bulk_create(
        ReviewCard(
            player=player,
            item_id=f"ITEM-{number}",
            lesson_id=f"LES-{chance.randrange(9)}",
            subject_id=chance.choice(SUBJECTS),
            is_active=chance.random() < 0.8,
            met_at=MONDAY,
            state=state,
            due_at=moment(),
            last_reviewed_at=chance.choice([None, moment()]),
            failures=chance.choice([0, 0, 3, 8, 9]),
        )
        for number in range(count)
    )


def text(at: datetime | None) -> str | None:
    return None if at is None else time_text(at)


def due_text(at: datetime) -> str:
    """Rounded up: an item is due at the time that is answered."""
    return time_text(at if not at.microsecond else at + timedelta(seconds=1))


def due_by_models(player_id: int, now: datetime, subject: str | None, limit: int):
    """Of cards with the time of the last one, those that an index has first."""
    cards = ReviewCard.objects.filter(
        player_id=player_id, is_active=True, due_at__lte=now
    )
    ties: list[str] = []
    if subject is not None:
        cards = cards.filter(subject_id=subject)
        ties = ["last_reviewed_at", "failures"]
    return [
        DueItem(
            item_id=card.item_id,
            lesson_id=card.lesson_id,
            subject_id=card.subject_id,
            due_at=due_text(card.due_at),
            last_reviewed_at=text(card.last_reviewed_at),
            retrievability=None,
            intervals=Intervals(60, 330, 600, 8 * 24 * 3600),
            failures=card.failures,
            is_leech=card.failures >= 8,
        )
        for card in sorted(
            cards.order_by("due_at", *ties, "pk")[:limit],
            key=attrgetter("due_at", "pk"),
        )
    ]


def counts_by_models(player_id: int, now: datetime) -> set[tuple[Any, ...]]:
    rows = (
        ReviewCard.objects.filter(player_id=player_id, is_active=True)
        .order_by()
        .values_list("subject_id")
        .annotate(
            total=Count("pk"),
            due=Count("pk", filter=Q(due_at__lte=now)),
            soonest=Min("due_at"),
            today=Count("pk", filter=Q(due_at__lt=LocalDays("UTC").end_of_day(now))),
            new=Count("pk", filter=Q(last_reviewed_at=None)),
            leeches=Count("pk", filter=Q(failures__gte=8)),
        )
    )
    return {
        (total, due, due_text(soon), *more, subject)
        for subject, total, due, soon, *more in rows
    }


@pytest.mark.parametrize("seed", range(8))
def test_the_answers_are_those_of_the_models(student, other, seed):
    chance = random.Random(seed)
    count = chance.choice([1, 30, 60])
    ReviewWatermark.objects.create(player=student, ledger_position=0)
    add_cards(student, chance, count)
    add_cards(other, chance, 30)
    for _question in range(20):
        now = MONDAY + timedelta(
            seconds=chance.randrange(-21, 21), microseconds=chance.choice([0, 5, 6])
        )
        _mark, counts = review_queries.count_by_subject(
            student.pk, LocalDays("UTC"), now
        )
        assert {astuple(row) for row in counts} == counts_by_models(student.pk, now)
        assert len({row.subject_id for row in counts}) == len(counts)
        limit = chance.choice([1, 2, 20, 100])
        subject = chance.choice([None, "SUBJ-NONE", *SUBJECTS])
        _mark, items = review_queries.due_items(
            student.pk, now, subject_id=subject, limit=limit
        )
        assert items == due_by_models(student.pk, now, subject, limit)


def test_every_query_has_the_watermark_and_the_end_of_the_ledger(student, finish):
    def marks() -> set[review_queries.Watermark | None]:
        return {
            review_queries.count_by_subject(student.pk, LocalDays("UTC"), MONDAY)[0],
            *(
                review_queries.due_items(
                    student.pk, MONDAY, subject_id=subject, limit=5
                )[0]
                for subject in (None, "SUBJ-A")
            ),
        }

    assert marks() == {None}
    assert review_queries.watermark(student.pk) == (0, "", None)
    mark = ReviewWatermark.objects.create(player=student, items_version="v1")
    assert marks() == {review_queries.watermark(student.pk)} == {(0, "v1", None)}
    finish("0-0")
    assert marks() == {review_queries.watermark(student.pk)} == {(0, "v1", 1)}
    mark.ledger_position = 1
    mark.save()
    add_cards(student, random.Random(1), 20)
    assert marks() == {review_queries.watermark(student.pk)} == {(1, "v1", 1)}


@pytest.mark.parametrize(
    ("mark", "is_behind"),
    [
        ((3, "v1", 3), True),
        ((2, "v1", 3), True),
        ((4, "v1", 3), False),  # the ledger has lost rows
        ((1, "v1", None), False),
        ((2, "v2", 3), False),
    ],
)
def test_cards_are_behind_if_the_ledger_has_grown(mark, is_behind):
    assert review_queries.Watermark(*mark).is_behind("v1") is is_behind


@pytest.mark.parametrize(
    ("mark", "is_current"),
    [
        ((0, "v1", None), True),
        ((3, "v1", 3), True),
        ((2, "v1", 3), False),
        ((4, "v1", 3), False),  # the ledger has lost rows
        ((1, "v1", None), False),
        ((3, "v2", 3), False),
    ],
)
def test_cards_are_current_at_the_end_of_the_ledger_with_these_items(mark, is_current):
    assert review_queries.Watermark(*mark).is_at("v1") is is_current


# --- Indexes --------------------------------------------------------------------


@pytest.fixture
def many_cards(student, other):
    """Cards of two players among which a wrong index would be found out."""
    ReviewWatermark.objects.create(player=student, ledger_position=0)
    for number, player in enumerate((student, other)):
        add_cards(player, random.Random(number), 2000)


def plan_of(ask) -> list[str]:
    """Return how the database reads the cards for the one query of ``ask``."""
    with CaptureQueriesContext(connection) as captured:
        ask()
    [query] = captured.captured_queries
    is_mariadb = connection.vendor == "mysql"
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'' if is_mariadb else 'QUERY PLAN '}{query['sql']}")
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    if not is_mariadb:
        return [row["detail"] for row in rows if "progress_reviewcard" in row["detail"]]
    return [
        f"{row['type']} {row['key']} {row['Extra']}"
        for row in rows
        if row["table"] == "progress_reviewcard"
    ]


def test_the_overview_reads_only_an_index(student, many_cards):
    [plan] = plan_of(
        lambda: review_queries.count_by_subject(student.pk, LocalDays("UTC"), MONDAY)
    )
    assert "progress_due_in_subject" in plan
    assert ("Using index" in plan) or ("USING COVERING INDEX" in plan)
    assert "temporary" not in plan
    assert "filesort" not in plan


@pytest.mark.mariadb
@pytest.mark.parametrize("subject", [None, "SUBJ-A"])
def test_the_due_list_writes_no_table_to_the_disk(student, many_cards, subject):
    """MariaDB wrote two for each request, because of the texts of memories."""
    name = "Created_tmp_disk_tables"

    def written() -> int:
        with connection.cursor() as cursor:
            cursor.execute(f"SHOW SESSION STATUS LIKE '{name}'")
            return int(cursor.fetchone()[1])

    before = written()
    found = review_queries.due_items(student.pk, MONDAY, subject_id=subject, limit=20)
    assert len(found[1]) == 20
    assert written() == before


@pytest.mark.parametrize(
    ("subject", "index"),
    [(None, "progress_due"), ("SUBJ-A", "progress_due_in_subject")],
)
def test_the_due_list_reads_an_index_in_its_order_up_to_the_limit(
    student, many_cards, subject, index
):
    now = MONDAY - timedelta(seconds=15)  # an eighth of the cards are due
    [plan] = plan_of(
        lambda: review_queries.due_items(student.pk, now, subject_id=subject, limit=20)
    )
    if connection.vendor == "mysql":
        kind, key, extra = plan.split(maxsplit=2)
        assert (kind, key) == ("range", index)
        assert "filesort" not in extra
    else:
        of_subject = "AND subject_id=? " if subject else ""
        found = f"(player_id=? AND is_active=? {of_subject}AND due_at<?)"
        assert plan.endswith(f"USING COVERING INDEX {index} {found}")
