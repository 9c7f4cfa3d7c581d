"""Cohorts of the site: groups of users that Moodle can enrol together."""

from dataclasses import dataclass

from registrar.moodle.client import MoodleClient, check_warnings
from registrar.peers.errors import PeerRefusedError

_SYSTEM = {"type": "system", "value": ""}
_EXISTS = "3"
"""The warning code of a member who is one already."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """A cohort; ``idnumber`` is Zoho's id of the class and unique."""

    id: int
    name: str
    idnumber: str


def find(client: MoodleClient, *, idnumber: str) -> Cohort | None:
    """Return the cohort with exactly this ``idnumber``."""
    found = client.read(
        "core_cohort_search_cohorts",
        query=idnumber,
        context={"contextlevel": "system", "instanceid": 0},
        includes="all",
        limitnum=100,
    )
    for row in found["cohorts"]:
        if row.get("idnumber") == idnumber:
            return Cohort(int(row["id"]), str(row["name"]), idnumber)
    return None


def create(client: MoodleClient, *, name: str, idnumber: str) -> int:
    """Create a cohort and return its id.

    Raises:
        PeerRefusedError: ``invalidparameter``: another cohort has the ``idnumber``.
    """
    row = {"categorytype": _SYSTEM, "name": name, "idnumber": idnumber}
    [found] = client.write("core_cohort_create_cohorts", cohorts=[row])
    return int(found["id"])


def rename(client: MoodleClient, *, cohort: Cohort, name: str) -> None:
    """Give a cohort another name."""
    row = {"id": cohort.id, "categorytype": _SYSTEM, "name": name}
    row["idnumber"] = cohort.idnumber
    client.write("core_cohort_update_cohorts", cohorts=[row])


def members(client: MoodleClient, *, cohort_id: int) -> set[int]:
    """Return the ids of the members.

    Raises:
        PeerRefusedError: ``invalidrecord``: there is no such cohort.
    """
    rows = client.read("core_cohort_get_cohort_members", cohortids=[cohort_id])
    return {int(user_id) for row in rows for user_id in row["userids"]}


def add(client: MoodleClient, *, cohort_id: int, user_id: int) -> None:
    """Add a member; one who is a member already stays it.

    Raises:
        PeerRefusedError: reason ``2``: no such cohort or user.
    """
    row = {
        "cohorttype": {"type": "id", "value": cohort_id},
        "usertype": {"type": "id", "value": user_id},
    }
    try:
        check_warnings(client.write("core_cohort_add_cohort_members", members=[row]))
    except PeerRefusedError as error:
        if error.reason != _EXISTS:
            raise


def remove(client: MoodleClient, *, cohort_id: int, user_id: int) -> None:
    """Remove a member; one who is none is no error."""
    row = {"cohortid": cohort_id, "userid": user_id}
    client.write("core_cohort_delete_cohort_members", members=[row])
