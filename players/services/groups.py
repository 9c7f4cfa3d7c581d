"""Groups of students: who belongs to them, and changes of all members' access."""

from collections.abc import Collection, Iterable

from django.db import transaction

from core.batches import batches
from plans.models import AcademicPlan
from players.models import GroupMember, PlayerProfile, StudyGroup
from players.services import bulk_access


def members_of(groups: Iterable[StudyGroup]) -> list[int]:
    """Return the primary keys of the members of these groups, each once, in order."""
    found = PlayerProfile.objects.filter(
        memberships__group__in=list(groups), erased_at=None
    )
    return list(found.order_by("pk").values_list("pk", flat=True).distinct())


def add_members(members: Iterable[tuple[int, int]]) -> None:
    """Add players to groups; members stay members. Two queries for 500 pairs.

    Args:
        members: pairs of a group's and a player's primary key. Erased players are
            skipped.
    """
    for some in batches(sorted(set(members))):
        players = PlayerProfile.objects.filter(
            pk__in={player_id for _group_id, player_id in some}, erased_at=None
        )
        known = set(players.values_list("pk", flat=True))
        GroupMember.objects.bulk_create(
            [
                GroupMember(group_id=group_id, player_id=player_id)
                for group_id, player_id in some
                if player_id in known
            ],
            ignore_conflicts=True,
        )


def remove_members(group: StudyGroup, player_ids: Collection[int]) -> None:
    """Take players out of a group; their plans and products stay."""
    for some in batches(list(player_ids)):
        GroupMember.objects.filter(group=group, player_id__in=some).delete()


@transaction.atomic
def enroll(groups: Collection[StudyGroup], plan: AcademicPlan | None) -> int:
    """Enrol all members, in ``plan`` or each in their group's plan.

    Groups without a plan are skipped if ``plan`` is None.

    Returns:
        The number of new enrolments.
    """
    wanted = []
    for group in groups:
        plan_id = plan.pk if plan is not None else group.plan_id
        if plan_id is not None:
            wanted += [(player_id, plan_id) for player_id in members_of([group])]
    return bulk_access.enroll(wanted)


@transaction.atomic
def move(groups: Collection[StudyGroup], plan: AcademicPlan) -> int:
    """Move all members from their group's plan to another one, and the groups too.

    Returns:
        The number of changed players; one who is moved from two plans counts twice.

    Raises:
        StoreAwayError: Redis does not answer.
    """
    moved = 0
    for group in groups:
        moved += bulk_access.move(
            members_of([group]), plan_id=plan.pk, from_plan_id=group.plan_id
        )
        group.plan = plan
        group.save(update_fields=["plan"])
    return moved
