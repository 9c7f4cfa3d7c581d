"""Labels and plans are found and distinguished in any spelling."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import IntegrityError, connection, models
from django.test import Client
from django.urls import reverse

from plans.models import AcademicPlan, Grade, Season, Stream
from players.models import User

pytestmark = pytest.mark.django_db

migration = import_module("plans.migrations.0002_folded_titles")
schema_editor = SimpleNamespace(connection=connection)


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root@example.org", "p"))
    return client


@pytest.mark.parametrize("model", [Season, Grade, Stream])
@pytest.mark.parametrize(
    "other", ["الصف 1", "الصف ۱", "الصّف ١", "الصف\u00a0١ ", "\u200fالصف ١", "الصـف ١"]
)
def test_one_label_has_one_spelling(model, other: str):
    model.objects.create(title="الصف ١")
    with pytest.raises(ValidationError) as refusal:
        model(title=other).full_clean()
    assert "title" in refusal.value.message_dict
    with pytest.raises(IntegrityError):
        model.objects.create(title=other)


def test_another_label_and_the_same_one_again_are_fine():
    first = Grade.objects.create(title="الصف ١")
    Grade(title="الصف ٢").full_clean()
    first.full_clean()


def test_the_admin_says_which_label_is_there_already(browser: Client):
    Grade.objects.create(title="الصف ١")
    page = browser.post(
        reverse("admin:plans_grade_add"), {"title": "الصف 1", "position": 0}
    )
    assert page.status_code == 200
    assert "الصف ١" in str(page.context["adminform"].form.errors["title"])
    assert Grade.objects.count() == 1


@pytest.mark.parametrize(
    "write",
    [
        lambda grade: Grade.objects.filter(pk=grade.pk).update(title="الصف ٢"),
        lambda grade: rename(grade).save(),
        lambda grade: rename(grade).save(update_fields=["title"]),
        lambda grade: Grade.objects.bulk_update([rename(grade)], ["title"]),
    ],
    ids=["update", "save", "save of the title", "bulk_update"],
)
def test_every_write_of_a_title_folds_it(write):
    write(Grade.objects.create(title="الصف ١"))
    assert Grade.objects.get().title_folded == "الصف 2"


def rename(grade: Grade) -> Grade:
    grade.title = "الصف ٢"
    return grade


def test_a_title_that_only_the_database_knows_is_refused():
    with pytest.raises(TypeError):
        Grade.objects.update(title=models.F("title"))


@pytest.mark.parametrize("words", ["كتاب ١", "کتاب", "كِتَابُ", "plan-a", "PLAN-A"])
def test_a_plan_is_found_however_it_is_spelled(browser: Client, words: str):
    AcademicPlan.objects.create(public_id="PLAN-A", title="كتاب 1")
    AcademicPlan.objects.create(public_id="PLAN-B", title="غيره")
    page = browser.get(reverse("admin:plans_academicplan_changelist"), {"q": words})
    assert [plan.public_id for plan in page.context["cl"].result_list] == ["PLAN-A"]
    home = browser.get(reverse("admin:index"), {"q": words})
    assert [plan.public_id for plan in home.context["found"].plans] == ["PLAN-A"]


# --- The migration --------------------------------------------------------------------


def test_the_migration_folds_what_is_there():
    grade = Grade.objects.create(title="الصف ١")
    plan = AcademicPlan.objects.create(title="کتاب")
    for row in (grade, plan):
        models.QuerySet(type(row)).filter(pk=row.pk).update(title_folded="")
    migration.refuse_same_labels(apps, schema_editor)
    migration.fold_titles(apps, schema_editor)
    assert Grade.objects.get().title_folded == "الصف 1"
    assert AcademicPlan.objects.get().title_folded == "كتاب"


def test_the_migration_names_labels_that_are_the_same():
    first = Grade.objects.create(title="الصف ١")
    second = Grade.objects.create(title="الصف ٢")
    models.QuerySet(Grade).filter(pk=second.pk).update(title="الصف 1")
    with pytest.raises(CommandError) as refusal:
        migration.refuse_same_labels(apps, schema_editor)
    message = str(refusal.value)
    assert f"Grade: “الصف ١” (id {first.pk}), “الصف 1” (id {second.pk})" in message
    assert "run migrate again" in message
