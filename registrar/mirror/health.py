"""What the CRM lacks that the mapping reads."""

from collections.abc import Collection, Mapping

from registrar.mapping.locked_names import CRITERIA_SUBFORM
from registrar.mapping.modules import MAPPINGS

_WRITTEN = {"BTEC_Grades": {CRITERIA_SUBFORM}}
"""Fields that we write and the mapping does not read."""


def missing_names(fields: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """Return the api names that we read or write and the CRM does not have.

    Args:
        fields: the api names that the CRM has, by module. A module that is not a key
            was not asked for.

    Returns:
        by module, sorted; modules without a missing name are left out. Such a name is an
        error of the health report: its column keeps the last value. A CRM needs no field
        for a criterion that no unit has: only if it has none for any criterion, the first
        one is missing.
    """
    found: dict[str, list[str]] = {}
    for module, names in fields.items():
        if module in MAPPINGS:
            mapping = MAPPINGS[module]
            keyed = [one.api_name for one in mapping.fields if one.key]
            used = {*mapping.api_names, *_WRITTEN.get(module, ())}
            missing = used - set(names) - {"id", *keyed}
            if keyed and not set(names) & set(keyed):
                missing.add(keyed[0])
            if missing:
                found[module] = sorted(missing)
    return found
