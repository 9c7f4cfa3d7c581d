"""Fixtures of reviews: answering items, and asking what is due."""

from datetime import timedelta

import pytest

from progress.services import reviews
from progress.services.reviews import Rating
from tests.progress.conftest import MONDAY


@pytest.fixture
def rate(student):
    def rate(*rated: tuple[str, int], day: int = 0, key: str | None = None, at=None):
        return reviews.submit(
            player_id=student.pk,
            ratings=[
                Rating(item, f"LES-MATH-{item[-3:]}", rating, reviewed_at=at)
                for item, rating in rated
            ],
            idempotency_key=key,
            now=MONDAY + timedelta(days=day),
        )

    return rate


@pytest.fixture
def due(student):
    def due(*, day: int = 0, limit: int = 100, subject: str | None = None):
        answer = reviews.due(
            player_id=student.pk,
            subject_id=subject,
            limit=limit,
            now=MONDAY + timedelta(days=day),
        )
        return [item.item_id for item in answer.items]

    return due
