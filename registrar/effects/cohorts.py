"""Cohorts in Moodle of classes: their members follow the enrolments."""

from registrar.effects.site import Site
from registrar.models import SchoolClass
from registrar.moodle import cohorts
from registrar.moodle.cohorts import Cohort
from registrar.peers.errors import PeerRefusedError

_MAX_NAME = 254
"""Characters of a cohort's name in Moodle."""


def name_of(row: SchoolClass) -> str:
    """Return the name that the cohort of a class should have."""
    return (row.name or row.short_name or row.zoho_id)[:_MAX_NAME]


def ensure(row: SchoolClass, site: Site) -> Cohort:
    """Return the cohort of a class; create it, or give it the class's name."""
    name = name_of(row)
    found = cohorts.find(site.moodle, idnumber=row.zoho_id) or _create(row, name, site)
    if found.name != name:
        cohorts.rename(site.moodle, cohort=found, name=name)
    return found


def set_member(row: SchoolClass, *, user_id: int, is_member: bool, site: Site) -> None:
    """Add a student to the cohort of a class, or remove them; may be repeated."""
    if is_member:
        found: Cohort | None = ensure(row, site)
    else:
        found = cohorts.find(site.moodle, idnumber=row.zoho_id)
    if found is None:
        return
    change = cohorts.add if is_member else cohorts.remove
    change(site.moodle, cohort_id=found.id, user_id=user_id)


def _create(row: SchoolClass, name: str, site: Site) -> Cohort:
    try:
        cohort_id = cohorts.create(site.moodle, name=name, idnumber=row.zoho_id)
    except PeerRefusedError:
        # Another worker, with another record of this class, may have created it.
        found = cohorts.find(site.moodle, idnumber=row.zoho_id)
        if found is None:
            raise
        return found
    return Cohort(cohort_id, name, row.zoho_id)
