"""Scales: named grades, such as ``Refer``, ``Pass``, ``Merit``, ``Distinction``."""

from registrar.moodle.client import MoodleClient
from registrar.moodle.texts import plain

_VALUES = "core_competency_get_scale_values"


def offers_items(client: MoodleClient) -> bool:
    """Return whether the token's user may read the items of scales."""
    return client.offers(_VALUES)


def items(client: MoodleClient, *, scale_id: int) -> list[str]:
    """Return the names of a scale's items; the grade 1 is the first one.

    Raises:
        PeerRefusedError: there is no such scale.
    """
    found = client.read(_VALUES, scaleid=scale_id)
    return [plain(str(row["name"])).strip() for row in found]
