"""Recomputing stored folded columns after the folding rules changed."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.core.management.base import CommandError
from django.db import connection, models

from content.models import Node
from core.refolding import refold
from plans.models import Season
from tests.factories.content import make_subject

pytestmark = pytest.mark.django_db


def test_titles_are_folded_by_the_current_rules(django_assert_num_queries):
    make_subject("MATH")
    subject = Node.objects.get(public_id="SUBJ-MATH")
    models.QuerySet(Node).filter(pk=subject.pk).update(
        title="کتاب", title_folded="کتاب"
    )
    migration = import_module("content.migrations.0002_fold_titles_again")
    with django_assert_num_queries(2):  # the nodes; one batch
        migration.fold_titles(apps, SimpleNamespace(connection=connection))
    assert Node.objects.get(pk=subject.pk).title_folded == "كتاب"


def test_labels_that_would_be_the_same_are_named_and_nothing_is_changed():
    for title in ("Other", "Lodz"):
        Season.objects.create(title=title)
    seasons = models.QuerySet(Season)
    seasons.filter(title="Other").update(title="Łódź", title_folded="łodz")
    with pytest.raises(CommandError, match=r"“Łódź”.*“Lodz”"):
        refold(Season, "title_folded", using="default")
    assert sorted(seasons.values_list("title_folded", flat=True)) == ["lodz", "łodz"]
