"""The registrar's data about a player, and its erasure (`players.services.erasure`).

Only the link is a player's. The school's records belong to the CRM: they are erased there.
"""

from collections.abc import Sequence

from django.db.models import Q

from players.services.erasure import Fate, Holding
from registrar.models import StudentAccount
from registrar.student_pages import access

HOLDINGS = (
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
    """Delete the player's link, and end the sessions of the students' pages."""
    del keep_ledger
    access.end_all(Q(student__account__player_id=player_id))
    StudentAccount.objects.filter(player_id=player_id).delete()


def forget(player_id: int, subject_ids: Sequence[str]) -> None:
    """Do nothing: the registrar has no keys of players in Redis."""
    del player_id, subject_ids
