"""Refusals that people see: a code for programs, a sentence for people.

They know no HTTP; ``memora_site.api_errors`` gives each its status.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class MemoraError(Exception):
    """Something a caller asked for cannot be done, and why.

    ``message`` is translated and says what to do; ``details`` is JSON.
    """

    code: ClassVar[str] = "ERROR"

    def __init__(
        self, message: str, *, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = dict(details or {})


class StructureError(MemoraError):
    """A tree change that would put something where it cannot be."""

    code = "INVALID_STRUCTURE"


class CurriculumError(MemoraError):
    """A curriculum file that cannot be imported; ``faults`` lists why.

    Each fault is ``(json_path, reason)``, in file order, at most 50.
    """

    code = "INVALID_CURRICULUM"

    def __init__(self, message: str, faults: list[tuple[str, str]]) -> None:
        super().__init__(
            message,
            details={"faults": [{"path": p, "reason": r} for p, r in faults]},
        )
        self.faults = faults
