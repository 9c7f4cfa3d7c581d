"""Known product codes: what is refused, created and protected."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import connection

from content import products
from content.curriculum import export_curriculum, import_curriculum
from content.models import Node, Product
from content.spreadsheets import lesson_sheet
from plans import services as plan_services
from players.models import Entitlement
from players.services import bulk_access

pytestmark = pytest.mark.django_db


@pytest.fixture
def sold(maths):
    """A unit that needs the product MATH-12, which has no row yet."""
    Node.objects.filter(pk=maths["unit"].pk).update(required_item="MATH-12")
    return maths["unit"]


def test_an_unknown_code_is_refused_with_the_place_where_products_are_created():
    with pytest.raises(ValidationError, match="Content › Products"):
        products.require_known("MATH-13")


def test_a_malformed_code_has_one_message():
    with pytest.raises(ValidationError) as refusal:
        products.require_known("a b")
    assert len(refusal.value.messages) == 1


def test_a_known_code_takes_one_query(django_assert_num_queries):
    Product.objects.create(code="MATH-12", title="Maths")
    with django_assert_num_queries(1):
        products.require_known("MATH-12")


def test_a_code_in_use_is_accepted_without_a_product(sold):
    products.require_known("MATH-12")


def test_codes_differ_by_case():
    products.ensure(["MATH-12"])
    assert products.unknown(["MATH-12", "math-12"]) == ["math-12"]


def test_missing_products_are_created_in_two_queries(django_assert_num_queries):
    Product.objects.create(code="A", title="Algebra")
    with django_assert_num_queries(2):
        products.ensure(["A", "B", "C", ""])
    assert dict(Product.objects.values_list("code", "title")) == {
        "A": "Algebra",
        "B": "B",
        "C": "C",
    }


def test_every_use_is_named(sold, plan, player):
    plan_services.set_override(
        plan=plan, target=sold, action="set_sold_separately", value="MATH-12"
    )
    Entitlement.objects.create(player=player, item="MATH-12")
    assert products.uses("MATH-12") == [
        "1 entry of the content tree",
        "1 override of a plan",
        "1 student",
    ]


def test_a_grant_creates_the_product(player):
    bulk_access.grant([(player.pk, "FROM-THE-SHOP", None)])
    assert Product.objects.get().code == "FROM-THE-SHOP"


def test_the_migration_creates_a_product_for_each_code_in_use(sold, plan, player):
    plan_services.set_override(
        plan=plan, target=sold, action="set_sold_separately", value="PLAN-ITEM"
    )
    plan_services.set_override(plan=plan, target=sold, action="rename", value="Title")
    Entitlement.objects.create(player=player, item="OWNED")
    Product.objects.create(code="OWNED", title="Kept")
    migration = import_module("registrar.migrations.0020_products_of_codes")
    migration.create_products(apps, SimpleNamespace(connection=connection))
    assert dict(Product.objects.values_list("code", "title")) == {
        "MATH-12": "MATH-12",
        "OWNED": "Kept",
        "PLAN-ITEM": "PLAN-ITEM",
    }


def test_a_sheet_names_and_creates_the_missing_products(maths):
    lesson = maths["lesson"]
    data = f"id,required_item\n{lesson.public_id},NEW-1\n".encode()
    trial = lesson_sheet.import_lessons(data, "lessons.csv", dry_run=True)
    assert trial.new_products == ["NEW-1"]
    assert not Product.objects.exists()
    lesson_sheet.import_lessons(data, "lessons.csv")
    assert Product.objects.get().code == "NEW-1"


def test_a_curriculum_file_names_and_creates_the_missing_products(sold, maths):
    data = export_curriculum(maths["subject"].public_id)
    trial = import_curriculum(data, dry_run=True)
    assert "there is no product “MATH-12”" in str(trial)
    assert not Product.objects.exists()
    import_curriculum(data)
    assert Product.objects.get().code == "MATH-12"
