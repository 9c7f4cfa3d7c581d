"""Wallets and subjects of many players, computed from random ledgers.

A plain loop over one player's rows computes the same.
"""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from uuid import uuid4

import pytest

from players.models import PlayerProfile, PlayerWallet, User
from players.player_state import SubjectProgress, WalletState
from progress import bitmap
from progress.models import InteractionLog, InteractionType, StructureProgress
from progress.services import ledger, snapshots
from tests.progress.conftest import MONDAY

pytestmark = pytest.mark.django_db

PAUSED = InteractionType.STREAK_PAUSED
FREEZES = {
    InteractionType.LESSON_COMPLETED: 1,
    InteractionType.FREEZE_SPENT: -1,
    InteractionType.FREEZE_RETURNED: 1,
    InteractionType.FREEZE_GIVEN: 2,
}
STREAK_ROWS = {*FREEZES, PAUSED, InteractionType.LESSON_FAILED}
SUBJECTS = ["SUBJ-A", "SUBJ-B", "subj-a"]


LESSON_ROWS = {
    InteractionType.LESSON_COMPLETED,
    InteractionType.LESSON_GRANTED,
    InteractionType.LESSON_RESET,
}
OPENED = InteractionType.SEASON_OPENED
ANEW = InteractionType.SUBJECT_RESET


ATTEMPTS = {InteractionType.LESSON_COMPLETED, InteractionType.LESSON_FAILED}


def random_row(
    chance: random.Random,
    player_id: int,
    seq: int,
    day: date,
    best: dict[tuple[str, int], int],
) -> InteractionLog:
    """A row after others, with ``best``, the hearts by subject and bit, kept up to date.

    They never fall, unless the lesson is reset.
    """
    kind = chance.choice([*InteractionType.values, InteractionType.LESSON_COMPLETED])
    freezes = FREEZES.get(kind, 0)
    at = MONDAY + timedelta(
        days=chance.randint(0, 3), microseconds=chance.choice([0, 5, 10**6])
    )
    is_correction = kind == InteractionType.XP_CORRECTED
    is_success = kind == InteractionType.LESSON_COMPLETED
    subject = "" if is_correction else chance.choice(SUBJECTS)
    bit = chance.randrange(20) if kind in LESSON_ROWS | ATTEMPTS else None
    hearts = None
    if kind in LESSON_ROWS:
        if kind == InteractionType.LESSON_RESET:
            best.pop((subject, bit), None)
        else:
            hearts = max(best.get((subject, bit), 0), chance.randint(1, 5))
            best[subject, bit] = hearts
    if kind == ANEW:
        for place in [place for place in best if place[0] == subject]:
            del best[place]
    last_day = None
    if kind == PAUSED:
        last_day = day + timedelta(chance.randint(0, 2))
    elif kind == OPENED and chance.random() < 0.5:
        last_day = day
    return InteractionLog(
        player_id=player_id,
        seq=seq,
        event_id=uuid4().hex,
        type=kind,
        reference_id="R",
        subject_id=subject,
        bit_index=bit,
        best_hearts=hearts,
        xp=chance.randint(-60, 60)
        if is_correction
        else 9 * is_success - 5 * (kind == ANEW),
        day=day if is_success or kind in STREAK_ROWS or last_day else None,
        last_day=last_day,
        freezes=freezes,
        occurred_at=at,
        received_at=MONDAY + timedelta(minutes=chance.randrange(60)),
    )


def make_ledgers(chance: random.Random) -> list[int]:
    """Add players, some without rows, and return their numbers."""
    players = []
    for number in range(12):
        user = User.objects.create(email=f"{number}@school.example")
        player = PlayerProfile.objects.create(user=user)
        players.append(player.pk)
        day, rows = MONDAY.date(), []
        best: dict[tuple[str, int], int] = {}
        for seq in range(1, 1 + chance.choice([0, 1, 2, 30])):
            day += timedelta(days=chance.choice([0, 0, 1, 1, 2, -1]))
            rows.append(random_row(chance, player.pk, seq, day, best))
        chance.shuffle(rows)
        InteractionLog.objects.bulk_create(rows)
    return players


def rows_of(player_id: int) -> Sequence[InteractionLog]:
    return InteractionLog.objects.filter(player_id=player_id).order_by("seq")


def wallet_by_rows(player_id: int) -> WalletState:
    xp, seq, freezes, played, ended = 0, 0, 0, None, None
    days: set[date] = set()
    off: set[date] = set()
    spent: Counter[date] = Counter()
    for row in rows_of(player_id):
        xp, seq, freezes = xp + row.xp, row.seq, freezes + row.freezes
        if row.type == PAUSED:
            off |= {row.day, row.last_day, row.last_day - timedelta(1)} - {
                row.day - timedelta(1)
            }
        elif row.type in (
            InteractionType.FREEZE_SPENT,
            InteractionType.FREEZE_RETURNED,
        ):
            spent[row.day] -= row.freezes
        elif row.type == OPENED:
            ended = max(filter(None, [ended, row.last_day]), default=None)
        elif row.day is not None and row.type != InteractionType.FREEZE_GIVEN:
            played = max(played or row.occurred_at, row.occurred_at)
            if row.type == InteractionType.LESSON_COMPLETED:
                days.add(row.day)
    frozen = {day for day, times in spent.items() if times > 0}
    if ended is not None:
        days, off, frozen = (
            {day for day in found if day > ended} for found in (days, off, frozen)
        )
    last = day = max(days, default=ended)
    current = 0
    while day is not None and day in days | off | frozen:
        current += day in days
        day -= timedelta(1)
    shown = [day for day in frozen if last and day > last - timedelta(28)]
    freezes = max(0, freezes)
    return WalletState(
        *(seq, max(0, xp), current, last, played, freezes, tuple(sorted(shown)))
    )


def subject_by_rows(
    player_id: int, subject_id: str, until: int = 1000
) -> tuple[int, SubjectProgress]:
    seq, found = 0, SubjectProgress()
    for row in rows_of(player_id):
        if row.subject_id != subject_id or row.seq > until:
            continue
        if row.type == ANEW:
            seq = row.seq
            found = SubjectProgress(xp=found.xp + row.xp, last_played=found.last_played)
        if row.bit_index is None:
            continue
        if row.type in ATTEMPTS:
            found = bitmap.with_attempt(found, row.bit_index, at=row.occurred_at)
        if row.type == InteractionType.LESSON_FAILED:
            continue
        seq = row.seq
        if row.best_hearts is None:
            found = bitmap.without(found, row.bit_index)
            continue
        found = bitmap.with_completion(
            found, row.bit_index, best_hearts=row.best_hearts, xp=row.xp
        )
    return seq, found


@pytest.mark.parametrize("seed", range(8))
def test_the_wallets_of_many_are_those_of_each(seed, django_assert_num_queries):
    players = make_ledgers(random.Random(seed))
    with django_assert_num_queries(1):
        found = ledger.wallets_of(players)
    assert found == {player_id: wallet_by_rows(player_id) for player_id in players}


@pytest.mark.parametrize("seed", range(8))
def test_the_subjects_of_many_are_those_of_each(seed, django_assert_num_queries):
    chance = random.Random(seed)
    players = make_ledgers(chance)
    pairs = [(player_id, one) for player_id in players for one in SUBJECTS]
    wanted = set(chance.sample(pairs, 12))
    expected = {pair: subject_by_rows(*pair) for pair in wanted}
    with django_assert_num_queries(1):
        found = ledger.subjects_of(wanted)
    assert found == {pair: one for pair, one in expected.items() if one[0]}


@pytest.mark.parametrize("seed", range(4))
def test_the_subjects_at_positions_lack_later_rows(seed, django_assert_num_queries):
    chance = random.Random(seed)
    players = make_ledgers(chance)
    pairs = [(player_id, one) for player_id in players for one in SUBJECTS]
    positions = {pair: chance.randrange(12) for pair in pairs}
    expected = {pair: subject_by_rows(*pair, seq)[1] for pair, seq in positions.items()}
    with django_assert_num_queries(1):
        assert ledger.subjects_at(positions) == expected


def test_of_nobody_nothing_is_asked(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert ledger.wallets_of([]) == {}
        assert ledger.subjects_of(set()) == {}
        assert ledger.subjects_at({}) == {}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("minutes", [0, 30, None])
def test_snapshots_that_are_behind_are_found(seed, minutes):
    chance = random.Random(seed)
    players = make_ledgers(chance)
    since = None if minutes is None else MONDAY + timedelta(minutes=minutes)
    wallets, subjects = [], []
    for player_id in players:
        rows = [*rows_of(player_id)]
        head = max((row.seq for row in rows), default=0)
        recent = [row for row in rows if since is None or row.received_at >= since]
        written = chance.choice([None, 0, head // 2, head])
        if written is not None:
            PlayerWallet.objects.create(player_id=player_id, seq=written)
        if since is None:
            wallets.append((player_id, head))
        elif recent:
            last = max(row.seq for row in recent)
            if written is None or written < last:
                wallets.append((player_id, last))
        for subject_id in sorted(SUBJECTS):
            seqs = [
                row.seq
                for row in recent
                if row.subject_id == subject_id and row.type in LESSON_ROWS | {ANEW}
            ]
            if written is not None:
                StructureProgress.objects.create(
                    player_id=player_id,
                    subject_id=subject_id,
                    seq=written,
                    last_synced_at=MONDAY,
                )
            if seqs and (since is None or written is None or written < max(seqs)):
                subjects.append((player_id, subject_id, max(seqs)))
    assert ledger.wallets_behind(since) == wallets
    assert snapshots._behind(since) == subjects


def test_an_erased_player_has_no_wallet_that_is_behind():
    players = make_ledgers(random.Random(1))
    PlayerProfile.objects.filter(pk__in=players[:6]).update(erased_at=MONDAY)
    for since in (None, MONDAY):
        behind = {player_id for player_id, _head in ledger.wallets_behind(since)}
        assert behind
        assert not behind & set(players[:6])
