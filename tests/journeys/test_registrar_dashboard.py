"""The registrar's dashboard in a real browser, in Arabic, on a phone and at a desk."""

import pytest
from django.urls import reverse
from django.utils import timezone

from registrar.models import PeerState

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("width", [360, 1280])
def test_the_dashboard_shows_a_fault_in_arabic_without_overflow(open_page, width):
    PeerState.objects.create(
        peer="zoho", needs_staff=True, failures=1, failed_at=timezone.now()
    )
    page = open_page("ar", width=width)
    page.goto(reverse("admin:registrar_dashboard"))
    assert page.locator("html").get_attribute("dir") == "rtl"
    page.locator(".faults code", has_text="registrar-credentials.md").wait_for()
    overflow = "document.documentElement.scrollWidth - window.innerWidth"
    assert page.evaluate(overflow) <= 0
