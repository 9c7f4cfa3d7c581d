"""The requests and answers in the guide to the staff API are those of the server."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from plans.models import AcademicPlan, Grade
from players import roles
from players.models import PlayerProfile, User
from tests.memora_site import guides

GUIDE = Path(__file__).parents[2] / "docs/staff-api.md"
EMAIL, PASSWORD = "system@school.example", "a-system-password"


@pytest.fixture
def world(db: None) -> User:
    """Two plans, a grade and the account of the school's system."""
    Grade.objects.create(title="Grade 5")
    for number in (5, 6):
        AcademicPlan.objects.create(
            public_id=f"PLAN-{number}", title=f"Grade {number}", is_published=True
        )
    system = User.objects.create_user(EMAIL, PASSWORD, is_staff=True)
    system.groups.add(Group.objects.get(name=roles.SYSTEM_MANAGERS))
    return system


def test_the_guide_shows_the_requests_and_answers_of_the_server(
    world: User, django_capture_on_commit_callbacks: Any
):
    browser = Client()
    browser.force_login(world, "django.contrib.auth.backends.ModelBackend")
    played = guides.steps(GUIDE)
    assert len(played) == 5
    for request, shown in played:
        sent = guides.Request.read(request)
        lina = PlayerProfile.objects.filter(school_number="S-1042").first()
        path = sent.path.replace("/players/1/", f"/players/{lina.pk if lina else 0}/")
        with django_capture_on_commit_callbacks(execute=True):
            response = browser.generic(
                sent.method,
                path,
                sent.body,
                "application/json",
                headers=sent.headers,
            )
        assert shown is not None
        real, expected = json.loads(response.content), json.loads(shown)
        assert (response.status_code < 400) == ("error_code" not in expected), real
        assert guides.difference(expected, real) == "", request


@pytest.mark.django_db(transaction=True)
def test_the_programme_of_the_guide_signs_in_and_creates_a_student(
    live_server: Any, world: User
):
    (programme,) = guides.blocks(GUIDE, "python")
    names: dict[str, Any] = {
        "MEMORA": live_server.url,
        "EMAIL": EMAIL,
        "PASSWORD": PASSWORD,
    }
    exec(programme, names)  # noqa: S102 - it is the programme of the guide
    post = names["post"]
    answer = post(
        "admin/players/", {"player": {"email": "lina@school.example"}}, key="one"
    )
    assert answer.status_code == 201
    assert PlayerProfile.objects.get().pk == answer.json()["player_id"]
