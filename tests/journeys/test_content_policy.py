"""Every admin page works under its Content-Security-Policy, in a real browser.

The browser reports each violation as an error on its console, and `open_page` fails the
test for any error there.
"""

import pytest
from django.contrib import admin
from django.urls import reverse

from plans.models import AcademicPlan
from tests.factories.content import make_branch, make_stage
from tests.memora_site.admin.test_every_page import url, world  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stage(transactional_db):
    """A lesson with one stage; `world` needs it."""
    return make_stage(make_branch("Physics", lessons=1).lessons[0])


@pytest.fixture
def plan(transactional_db):
    """A plan that was never published: `world` adds its publication."""
    return AcademicPlan.objects.create(title="Grade 12")


@pytest.fixture
def player(student):
    """The student whose rows `world` makes."""
    return student


def addresses() -> list[str]:
    """The site's pages, and each model's list, change and history page."""
    found = ["admin:index", "admin:password_change", "admin:publishing_dashboard"]
    pages = [reverse(name) for name in (*found, "api-docs")]
    for model in admin.site._registry:
        pages.append(url(model, "changelist"))
        if first := model._default_manager.first():
            pages += [url(model, "change", first.pk), url(model, "history", first.pk)]
    return pages


def test_every_page_obeys_the_policy(open_page, world, stage):  # noqa: F811
    page = open_page()
    for address in addresses():
        answer = page.goto(address, wait_until="load")
        assert answer.ok, address
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy, address
        assert "unsafe-eval" not in policy, address


def test_an_inline_script_does_not_run(chromium, server, transactional_db):
    page = chromium.new_page(base_url=server)
    page.goto(reverse("admin:login"))
    page.evaluate(
        """() => {
            document.addEventListener("securitypolicyviolation",
                event => { window.blocked = event.effectiveDirective; }, { once: true });
            const link = document.createElement("a");
            link.setAttribute("onclick", "window.ranInline = true");
            document.body.append(link);
            link.click();
        }"""
    )
    page.wait_for_function("window.blocked")
    assert page.evaluate("window.blocked") == "script-src-attr"
    assert page.evaluate("window.ranInline") is None
    page.close()
