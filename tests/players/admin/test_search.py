"""Students are found by name and address, in any spelling."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection, models
from django.test import Client
from django.urls import reverse

from players.models import User
from players.services import accounts

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root@example.org", "p"))
    return client


@pytest.fixture
def student() -> User:
    accounts.create_player("other@example.org", "right-pass-12", full_name="سعاد")
    made = accounts.create_player(
        "sara@school.example",
        "right-pass-12",
        full_name="سارة علی",
        school_number="A-٢٠٤١",
        phone="+964 (770) 123-4567",
    )
    return made.user


@pytest.mark.parametrize(
    "words", ["ساره", "سَارَةُ علي", "علی", "على", "سـارة", "sara@school", "SARA@School"]
)
def test_a_student_is_found_in_the_lists(browser: Client, student: User, words: str):
    players = browser.get(
        reverse("admin:players_playerprofile_changelist"), {"q": words}
    )
    assert [row.user_id for row in players.context["cl"].result_list] == [student.pk]
    users = browser.get(reverse("admin:players_user_changelist"), {"q": words})
    assert [row.pk for row in users.context["cl"].result_list] == [student.pk]


def found_players(browser: Client, words: str) -> list[int]:
    page = browser.get(reverse("admin:players_playerprofile_changelist"), {"q": words})
    return [row.user_id for row in page.context["cl"].result_list]


@pytest.mark.parametrize(
    "words",
    [
        *("A-2041", "a-2041", "2041", "٢٠٤١"),
        *("+964 770 123 4567", "0770-123-4567", "٠٧٧٠١٢٣٤٥٦٧", "00964 7701234567"),
        *("1234567", "ساره 2041"),
    ],
)
def test_a_student_is_found_by_number(browser: Client, student: User, words: str):
    assert found_players(browser, words) == [student.pk]


@pytest.mark.parametrize("words", ["A-2042", "0770 123 4568", "سعاد 2041"])
def test_another_number_finds_nobody(browser: Client, student: User, words: str):
    assert found_players(browser, words) == []


def test_a_new_name_is_found(browser: Client, student: User):
    User.objects.filter(pk=student.pk).update(full_name="ليلى")
    page = browser.get(reverse("admin:players_user_changelist"), {"q": "ليلي"})
    assert [row.pk for row in page.context["cl"].result_list] == [student.pk]


def test_the_migration_folds_the_names_that_are_there(student: User):
    models.QuerySet(User).update(full_name_folded="")
    migration = import_module("players.migrations.0010_folded_names")
    migration.fold_names(apps, SimpleNamespace(connection=connection))
    student.refresh_from_db()
    assert student.full_name_folded == "ساره علي"
