"""What the CRM lacks that the mapping reads."""

from collections.abc import Collection, Mapping

from registrar.mapping.modules import MAPPINGS


def missing_names(fields: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """Return the api names that the mapping reads and the CRM does not have.

    Args:
        fields: the api names that the CRM has, by module. A module that is not a key
            was not asked for.

    Returns:
        by module, sorted; modules without a missing name are left out. Such a name is an
        error of the health report: its column keeps the last value. A CRM needs no field
        for a criterion that no unit has, so these are never missing.
    """
    found: dict[str, list[str]] = {}
    for module, names in fields.items():
        if module in MAPPINGS:
            mapping = MAPPINGS[module]
            optional = {"id", *(one.api_name for one in mapping.fields if one.key)}
            missing = set(mapping.api_names) - set(names) - optional
            if missing:
                found[module] = sorted(missing)
    return found
