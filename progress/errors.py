"""Progress's domain errors; `memora_site.api_errors` maps each to an HTTP status."""

from core.errors import MemoraError


class InvalidBodyError(MemoraError):
    """The request has an invalid value; ``details`` names the field."""

    code = "INVALID_BODY"

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message, details={"field": field})


class InvalidSubjectError(MemoraError):
    """The subject is not in the player's plan."""

    code = "INVALID_SUBJECT"


class NotUnlockedError(MemoraError):
    """The lesson is still locked; ``details`` names the lesson to complete next."""

    code = "NOT_UNLOCKED"


class NoHeartsError(MemoraError):
    """The attempt ended without hearts, so the lesson is not completed."""

    code = "NO_HEARTS"


class IdempotencyConflictError(MemoraError):
    """The idempotency key was used before, for another request."""

    code = "IDEMPOTENCY_CONFLICT"


class InvalidCorrectionError(MemoraError):
    """An invalid XP correction."""

    code = "INVALID_BODY"
