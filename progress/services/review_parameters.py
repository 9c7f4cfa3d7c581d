"""The parameters of reviews in the settings; see docs/architecture.md, "Reviews"."""

from typing import Any

from django.conf import settings

from progress.scheduler import Parameters


def current() -> Parameters:
    """Return the parameters of FSRS that this deployment uses."""
    return of(settings)


def of(values: Any) -> Parameters:
    """Return the parameters in these settings."""
    return Parameters(
        desired_retention=values.REVIEW_RETENTION,
        maximum_days=values.REVIEW_MAXIMUM_DAYS,
        learning_minutes=tuple(values.REVIEW_LEARNING_MINUTES),
        relearning_minutes=tuple(values.REVIEW_RELEARNING_MINUTES),
        weights=tuple(values.REVIEW_WEIGHTS),
    )
