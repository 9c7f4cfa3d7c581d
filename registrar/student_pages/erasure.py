"""The registrar's data about a player, and its erasure (`players.services.erasure`).

The link and what the registration gave are the player's. The school's records belong to the CRM: they are erased there.
"""

from collections.abc import Sequence

from django.db.models import Q

from players.services.erasure import Fate, Holding
from registrar.models import GivenAccess, Student, StudentAccount
from registrar.student_pages import access

HOLDINGS = (
    Holding("registrar.GivenAccess.player", Fate.DELETED, "access_by_registration"),
    Holding(
        "registrar.StudentAccount.player",
        Fate.DELETED,
        "school_record",
        also=("student__zoho_id",),
    ),
)


def subject_ids(player_id: int) -> list[str]:
    """Return no subjects: the registrar has no progress."""
    del player_id
    return []


def erase_rows(player_id: int, *, keep_ledger: bool) -> None:
    """Delete the player's link, and end the sessions of the students' pages.

    The student gets no account by their registration any more.
    """
    del keep_ledger
    GivenAccess.objects.filter(player_id=player_id).delete()
    Student.objects.filter(account__player_id=player_id).update(is_account_erased=True)
    access.end_all(Q(student__account__player_id=player_id))
    StudentAccount.objects.filter(player_id=player_id).delete()


def forget(player_id: int, subject_ids: Sequence[str]) -> None:
    """Do nothing: the registrar has no keys of players in Redis."""
    del player_id, subject_ids
