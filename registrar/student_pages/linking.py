"""Which player a student of the school is.

Staff decide it. An equal e-mail address alone links nobody: whoever may edit addresses in
the CRM could otherwise open another student's record to a player of their choice.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import Count, Q
from django.db.models.functions import Lower
from django.utils.translation import gettext as _

from players.credentials import canonical_email
from players.models import PlayerProfile
from registrar.models import Student, StudentAccount
from registrar.student_pages import access


@dataclass(frozen=True, slots=True)
class Pair:
    """A student and a player with the same address, neither linked so far."""

    student: Student
    player: PlayerProfile


def pairs() -> Iterator[Pair]:
    """Iterate over pairs that staff may want to link.

    A student without an address, deleted, or with the address of another student is left
    out; so is the account of a member of staff.
    """
    free = Student.objects.filter(deleted_at=None, account=None)
    addresses = (
        Student.objects.exclude(academic_email="")
        .filter(deleted_at=None)
        .annotate(lower_email=Lower("academic_email"))
        .values("lower_email")
        .annotate(times=Count("pk"))
        .filter(times=1)
        .values_list("lower_email", flat=True)
    )
    single = set(addresses.iterator())
    players = {
        player.user.email: player
        for player in PlayerProfile.objects.filter(
            school_record=None, erased_at=None, user__is_staff=False
        ).select_related("user")
    }
    for student in free.exclude(academic_email="").order_by("pk").iterator():
        player = players.get(canonical_email(student.academic_email))
        if player is not None and student.academic_email.lower() in single:
            yield Pair(student, player)


def obstacles(student: Student, player: PlayerProfile) -> list[str]:
    """Return why staff may not link them, in words; none if they may. Two queries.

    Who works in the admin is no student: the pages would open with their password.
    """
    found = []
    if StudentAccount.objects.filter(student=student).exists():
        found.append(_("The student is linked already."))
    if player.user.is_staff:
        found.append(_("This account also works in the admin."))
    if StudentAccount.objects.filter(player=player).exists():
        found.append(_("The player is linked already."))
    return found


def link(student: Student, player: PlayerProfile) -> bool:
    """Link a student and a player; False if one of them is linked already."""
    try:
        with transaction.atomic():
            StudentAccount.objects.create(student=student, player=player)
    except IntegrityError:
        return False
    return True


def unlink(account: StudentAccount) -> None:
    """Separate a student and a player, and end the sessions of the students' pages."""
    with transaction.atomic():
        access.end_all(Q(student_id=account.student_id))
        account.delete()


def student_of(player_id: int) -> Student | None:
    """Return the student that a player is; None if there is none. One query."""
    accounts = StudentAccount.objects.filter(
        player_id=player_id, student__deleted_at=None
    )
    found = accounts.select_related("student").first()
    return found.student if found else None
