"""Products in the admin, and the forms that ask for one."""

import pytest
from django.urls import reverse

from content import products
from content.models import Node, Product
from tests.admin_fixtures import messages_of

pytestmark = pytest.mark.django_db

PRODUCTS = reverse("admin:content_product_changelist")
ADD = reverse("admin:content_product_add")


@pytest.fixture
def product():
    return Product.objects.create(code="MATH-12", title="رياضيات الصف ١٢")


@pytest.fixture
def in_use(product, maths):
    Node.objects.filter(pk=maths["unit"].pk).update(required_item="MATH-12")
    return product


def change(browser, product, **fields):
    url = reverse("admin:content_product_change", args=[product.pk])
    return browser.post(url, {"code": product.code, "title": product.title, **fields})


def test_an_editor_creates_a_product(client_of, editor):
    client_of(editor).post(ADD, {"code": "PHYS-12", "title": "Physics"})
    assert Product.objects.get().title == "Physics"


def test_a_title_is_found_in_another_spelling(browser, product):
    page = browser.get(PRODUCTS, {"q": "رياضيات الصف 12"})
    assert list(page.context["cl"].queryset) == [product]


def test_the_list_takes_the_same_queries_for_forty_as_for_one(
    browser, product, django_assert_num_queries
):
    browser.get(PRODUCTS)
    products.ensure([f"P-{number}" for number in range(40)])
    with django_assert_num_queries(5):  # session, user; two counts; the rows
        browser.get(PRODUCTS)


def test_the_code_of_a_product_in_use_cannot_change(browser, in_use):
    page = change(browser, in_use, code="MATH-13")
    [error] = page.context["adminform"].form.errors["code"]
    assert "1 entry of the content tree" in error


def test_the_title_of_a_product_in_use_changes(browser, in_use):
    assert change(browser, in_use, title="Maths").status_code == 302
    in_use.refresh_from_db()
    assert in_use.title == "Maths"


def test_the_code_of_an_unused_product_changes(browser, product):
    assert change(browser, product, code="MATH-13").status_code == 302


def test_a_product_in_use_is_not_deleted(browser, in_use):
    url = reverse("admin:content_product_delete", args=[in_use.pk])
    assert "1 entry of the content tree" in browser.get(url).content.decode()
    browser.post(url, {"post": "yes"})
    assert Product.objects.exists()


def test_products_in_use_are_not_deleted_from_the_list(browser, in_use):
    Product.objects.create(code="UNUSED", title="Unused")
    chosen = list(Product.objects.values_list("pk", flat=True))
    browser.post(
        PRODUCTS,
        {"action": "delete_selected", "_selected_action": chosen, "post": "yes"},
    )
    assert Product.objects.count() == 2


def test_an_unused_product_is_deleted(browser, product):
    url = reverse("admin:content_product_delete", args=[product.pk])
    assert messages_of(browser.post(url, {"post": "yes"}, follow=True))
    assert not Product.objects.exists()


def test_the_page_of_a_node_offers_the_products_and_names_its_own_code(
    browser, product, maths
):
    Node.objects.filter(pk=maths["unit"].pk).update(required_item="OLD")
    url = reverse("admin:content_node_change", args=[maths["unit"].pk])
    page = browser.get(url).content.decode()
    assert f'<option value="MATH-12">{product.title}</option>' in page
    assert '<option value="OLD">not in the list of products</option>' in page
    assert 'list="product-codes"' in page


def test_an_unknown_code_is_refused_on_the_page_of_a_node(browser, maths):
    url = reverse("admin:content_node_change", args=[maths["unit"].pk])
    page = browser.post(url, {"title": "Unit", "required_item": "MATH-13"})
    [error] = page.context["adminform"].form.errors["required_item"]
    assert "There is no product “MATH-13”" in error


@pytest.mark.parametrize(
    "page",
    ["plans_override", "plans_scheduledchange_add", "registrar_programaccess_add"],
)
def test_other_forms_offer_the_products(browser, product, plan, maths, page):
    node = maths["unit"].pk
    is_dialog = page == "plans_override"
    url = reverse(f"admin:{page}", args=[plan.pk, node] if is_dialog else [])
    shown = browser.get(url, {"plan": plan.pk, "node": node}).content.decode()
    assert f'<option value="MATH-12">{product.title}</option>' in shown
    assert 'list="product-codes"' in shown


def test_an_unknown_code_is_refused_by_an_override(browser, plan, maths):
    url = reverse("admin:plans_override", args=[plan.pk, maths["unit"].pk])
    sold = "set_sold_separately"
    page = browser.post(url, {"action": sold, f"value_{sold}": "MATH-13"})
    assert "There is no product “MATH-13”" in page.content.decode()
    assert not plan.overrides.exists()
