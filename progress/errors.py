"""What progress refuses; ``memora_site.api_errors`` gives each its status."""

from core.errors import MemoraError


class InvalidBodyError(MemoraError):
    """The request says something it cannot; ``details`` names the field."""

    code = "INVALID_BODY"

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message, details={"field": field})


class InvalidSubjectError(MemoraError):
    """The subject is not in the player's plan."""

    code = "INVALID_SUBJECT"


class NotUnlockedError(MemoraError):
    """The lesson is still locked; ``details`` names what comes first."""

    code = "NOT_UNLOCKED"


class NoHeartsError(MemoraError):
    """The attempt ended without hearts, so it completes nothing."""

    code = "NO_HEARTS"


class IdempotencyConflictError(MemoraError):
    """The idempotency key was used for something else before."""

    code = "IDEMPOTENCY_CONFLICT"


class InvalidCorrectionError(MemoraError):
    """An XP correction that cannot be made."""

    code = "INVALID_BODY"
