"""Cards of before get the number of their failures."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection

from progress.models import ReviewCard

pytestmark = pytest.mark.django_db

counting = import_module("progress.migrations.0015_count_failures")


@pytest.mark.parametrize("size", [1, 10_000])
def test_the_ratings_again_of_each_card_are_counted(finish, rate, monkeypatch, size):
    finish("0-0")
    finish("0-1")
    rate(("Q1-MATH-0-0", 1), ("Q1-MATH-0-0", 3), ("Q1-MATH-0-0", 1), ("Q1-MATH-0-1", 1))
    expected = list(
        ReviewCard.objects.order_by("pk").values_list("failures", flat=True)
    )
    assert sorted(expected) == [0, 0, 1, 2]
    ReviewCard.objects.update(failures=7)
    monkeypatch.setattr(counting, "CARDS", size)
    for _run in range(2):
        counting.count_failures(apps, SimpleNamespace(connection=connection))
        found = ReviewCard.objects.order_by("pk").values_list("failures", flat=True)
        assert list(found) == expected
