"""Parameters of Moodle's REST protocol: nested values in the names of a form."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def flatten(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return ``{"users": [{"id": 7}]}`` as ``{"users[0][id]": "7"}``.

    True and False become 1 and 0. None is left out, and so are empty lists and mappings:
    the protocol has no form for them, and Moodle takes its default.
    """
    return dict(_pairs("", parameters))


def _pairs(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _pairs(f"{name}[{key}]" if name else str(key), below)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for at, below in enumerate(value):
            yield from _pairs(f"{name}[{at}]", below)
    elif value is not None:
        yield name, str(int(value)) if isinstance(value, bool) else str(value)
