"""Sign-in slips: new generated passwords for students, told once, to be printed.

The passwords are in the returned slips only. They are not stored, logged or put in a
file; whoever loses the printed page prints it again, which makes new ones.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet

from core.batches import batches
from players import audit, hashers
from players.models import GroupMember, PlayerProfile, SecurityEventType, User
from players.slip_pdf import Slip

MAX_SLIPS = 200
"""Slips of one document: about two seconds of CPU to draw."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who gets a slip, in the order of printing, and how many of the chosen do not.

    Accounts that are switched off, and those with rights in the admin, get none.
    """

    player_ids: list[int]
    left_out: int

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The first and the last slip of each document, counted from 1."""
        total = len(self.player_ids)
        return [
            (start + 1, min(start + MAX_SLIPS, total))
            for start in range(0, total, MAX_SLIPS)
        ]

    def part(self, number: int) -> list[int]:
        """Return the players of a document, counted from 0; none if there is none."""
        return self.player_ids[number * MAX_SLIPS : (number + 1) * MAX_SLIPS]


def choose(player_ids: Collection[int]) -> Chosen:
    """Return which of these players can get a slip, by class and name."""
    found: list[tuple[str, str, int]] = []
    for some in batches(sorted(set(player_ids))):
        classes = _classes(some)
        rows = _players(some).values_list("user__full_name", "user__email", "pk")
        found += [(classes.get(pk, ""), name or email, pk) for name, email, pk in rows]
    keys = [pk for _class, _name, pk in sorted(found)]
    return Chosen(keys, len(set(player_ids)) - len(keys))


@transaction.atomic
def issue(player_ids: Collection[int]) -> list[Slip]:
    """Give these players new passwords, end their sessions, and return the slips.

    A fixed number of queries for each 500 players. Old passwords, and codes for new
    ones, stop working. Each slip is audited. Players that `choose` leaves out are left
    out here, too.

    Returns:
        The slips in the order of ``player_ids``.

    Raises:
        StoreAwayError: Redis does not answer; nothing has changed.
    """
    slips = {
        pk: slip for some in batches(list(player_ids)) for pk, slip in _issue(some)
    }
    return [slips[pk] for pk in player_ids if pk in slips]


def _issue(player_ids: Collection[int]) -> Iterable[tuple[int, Slip]]:
    accounts = User.objects.filter(player__in=player_ids).order_by("pk")
    # Accounts are locked before players, as by all writers of sessions.
    users = {user.pk: user for user in accounts.select_for_update()}
    players = list(_players(player_ids).filter(user__in=users))
    passwords = {player.pk: hashers.generate() for player in players}
    for player in players:
        player.user = users[player.user_id]
        player.user.password = hashers.hash_generated(passwords[player.pk])
    User.objects.bulk_update([player.user for player in players], ["password"])
    audit.record_each(
        SecurityEventType.SLIP_PRINTED, [(player.user_id, {}) for player in players]
    )
    classes = _classes(player_ids)
    return [
        (
            player.pk,
            Slip(
                name=player.user.get_full_name(),
                email=player.user.email,
                password=passwords[player.pk],
                school_number=player.school_number or "",
                group=classes.get(player.pk, ""),
            ),
        )
        for player in players
    ]


def _players(player_ids: Collection[int]) -> QuerySet[PlayerProfile]:
    return PlayerProfile.objects.filter(
        pk__in=player_ids,
        erased_at=None,
        user__is_active=True,
        user__is_staff=False,
        user__is_superuser=False,
    )


def _classes(player_ids: Collection[int]) -> dict[int, str]:
    """Return the groups of each player in words."""
    names: dict[int, list[str]] = defaultdict(list)
    rows = GroupMember.objects.filter(player_id__in=player_ids).order_by("group__name")
    for player_id, name in rows.values_list("player_id", "group__name"):
        names[player_id].append(name)
    return {player_id: " – ".join(some) for player_id, some in names.items()}
