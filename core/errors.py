"""Domain errors: a code for programs and a message for people.

They do not depend on HTTP; ``memora_site.api_errors`` maps each to a status.
"""

from dataclasses import asdict, is_dataclass
from typing import Any, ClassVar


class MemoraError(Exception):
    """A request cannot be fulfilled.

    ``message`` is translated and states what to do. ``details`` is a JSON object. An
    error that the API answers has an instance of its ``details_type``, a dataclass of
    `core.api_types`.
    """

    code: ClassVar[str] = "ERROR"
    details_type: ClassVar[type | None] = None

    def __init__(self, message: str, *, details: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = (
            asdict(details) if is_dataclass(details) else dict(details or {})  # type: ignore[arg-type]
        )


class StructureError(MemoraError):
    """A change of the tree that its rules do not allow."""

    code = "INVALID_STRUCTURE"


class CurriculumError(MemoraError):
    """A curriculum file that cannot be imported; ``faults`` lists the reasons.

    Each fault is ``(json_path, reason)``, in file order, at most 50.
    """

    code = "INVALID_CURRICULUM"

    def __init__(self, message: str, faults: list[tuple[str, str]]) -> None:
        super().__init__(
            message,
            details={"faults": [{"path": p, "reason": r} for p, r in faults]},
        )
        self.faults = faults
