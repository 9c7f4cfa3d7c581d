"""What was done with a record of Zoho, and why, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _


class Outcome(StrEnum):
    """What a record did to the mirror."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    STALE = "stale"
    DELETED = "deleted"
    RESTORED = "restored"
    UNKNOWN = "unknown"


CHANGES = frozenset(
    {Outcome.CREATED, Outcome.UPDATED, Outcome.DELETED, Outcome.RESTORED}
)
"""Outcomes after which Moodle may need a change, too."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The result of applying a record.

    ``fields`` are the columns that changed; ``conflicts`` the api names whose values were
    not understood; ``missing`` the module and id of each parent that the mirror lacks.
    """

    outcome: Outcome
    fields: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the decision as JSON; `decision_of` reads it."""
        return {
            "outcome": str(self.outcome),
            "fields": list(self.fields),
            "conflicts": list(self.conflicts),
            "missing": [list(one) for one in self.missing],
        }

    @property
    def reason(self) -> str:
        """The decision in words, in the active language."""
        reasons = {
            Outcome.CREATED: _("The record is new."),
            Outcome.UPDATED: _("These fields changed: %(fields)s.")
            % {"fields": ", ".join(self.fields)},
            Outcome.UNCHANGED: _("Nothing changed that the mirror has."),
            Outcome.STALE: _("The mirror has a newer copy."),
            Outcome.DELETED: _("The record was deleted in Zoho."),
            Outcome.RESTORED: _("The record was restored in Zoho."),
            Outcome.UNKNOWN: _("Neither Zoho nor the mirror has this record."),
        }
        words = [reasons[self.outcome]]
        if self.conflicts:
            words.append(
                _("Values that are not understood: %(fields)s.")
                % {"fields": ", ".join(self.conflicts)}
            )
        if self.missing:
            words.append(
                _("Missing here: %(records)s.")
                % {"records": ", ".join(" ".join(one) for one in self.missing)}
            )
        return " ".join(words)


def decision_of(document: Mapping[str, Any]) -> Decision:
    """Return the decision that `Decision.document` has written."""
    return Decision(
        Outcome(document["outcome"]),
        tuple(document["fields"]),
        tuple(document["conflicts"]),
        tuple((module, record_id) for module, record_id in document["missing"]),
    )
