"""Entries of the admin's own log are added, never changed or deleted."""

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.core import serializers
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse

from core.statement_guard import AppendOnlyError
from players.models import User
from players.services import erasure
from tests.players.app import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(db):
    return User.objects.create_superuser("root@school.example", PASSWORD)


@pytest.fixture
def entry(root, student):
    LogEntry.objects.log_actions(root.pk, [student], CHANGE, single_object=True)
    return LogEntry.objects.get()


def load_fixture(entry):
    text = serializers.serialize("json", [entry])
    for loaded in serializers.deserialize("json", text):
        loaded.save()


def copy_of(entry):
    return LogEntry(pk=entry.pk, user_id=entry.user_id, action_flag=1, object_repr="x")


CHANGES = {
    "save": lambda entry: entry.save(),
    "save_update_fields": lambda entry: entry.save(update_fields=["object_repr"]),
    "save_with_pk": lambda entry: copy_of(entry).save(),
    "save_base_raw": lambda entry: copy_of(entry).save_base(raw=True),
    "fixture": load_fixture,
    "delete": lambda entry: entry.delete(),
    "update": lambda _entry: LogEntry.objects.update(object_repr="x"),
    "update_some": lambda entry: LogEntry.objects.filter(pk=entry.pk).update(
        object_repr="x"
    ),
    "delete_all": lambda _entry: LogEntry.objects.all().delete(),
    "default_manager": lambda _entry: LogEntry._default_manager.update(object_repr="x"),
    "base_manager_delete": lambda _entry: LogEntry._base_manager.all().delete(),
    "bulk_update": lambda entry: LogEntry.objects.bulk_update([entry], ["object_repr"]),
    "update_or_create": lambda entry: LogEntry.objects.update_or_create(
        pk=entry.pk, defaults={"object_repr": "x"}
    ),
    "ignore_conflicts": lambda entry: LogEntry.objects.bulk_create(
        [copy_of(entry)], ignore_conflicts=True
    ),
    "plain_update": lambda _entry: QuerySet(LogEntry).update(object_repr="x"),
    "plain_delete": lambda _entry: QuerySet(LogEntry).delete(),
    "raw_delete": lambda _entry: LogEntry.objects.all()._raw_delete("default"),
    "related_update": lambda entry: entry.user.logentry_set.update(object_repr="x"),
    "related_delete": lambda entry: entry.user.logentry_set.all().delete(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_an_entry_cannot_be_changed_or_deleted(entry, change):
    before = LogEntry.objects.values().get()
    with pytest.raises(AppendOnlyError), transaction.atomic():
        change(entry)
    assert LogEntry.objects.values().get() == before


def test_the_admin_does_not_delete_an_account_with_entries(entry, root, client):
    other = User.objects.create_superuser("other@school.example", PASSWORD)
    client.force_login(other)
    address = reverse("admin:players_user_delete", args=[root.pk])
    assert client.post(address, {"post": "yes"}).status_code == 403
    client.post(
        reverse("admin:players_user_changelist"),
        {"action": "delete_selected", "_selected_action": [root.pk], "post": "yes"},
    )
    assert User.objects.filter(pk=root.pk).exists()
    assert LogEntry.objects.filter(pk=entry.pk).exists()


def test_an_erasure_removes_the_students_name_from_the_log(entry, root, student):
    from django.utils import timezone

    erasure.erase(player_id=student.pk, now=timezone.now(), actor_id=root.pk)
    about = LogEntry.objects.get(pk=entry.pk)
    assert about.object_repr == f"#{student.pk}"


def test_the_log_is_shown_in_words_and_filtered_by_person(entry, root, client):
    client.force_login(root)
    address = reverse("admin:admin_logentry_changelist")
    text = client.get(address, {"user__id__exact": root.pk}).content.decode()
    assert entry.object_repr in text
    assert reverse("admin:players_playerprofile_change", args=[entry.object_id]) in text
    other = User.objects.create_user("other@school.example", PASSWORD)
    LogEntry.objects.log_actions(other.pk, [other], CHANGE, single_object=True)
    page = client.get(address, {"user__id__exact": other.pk})
    assert [found.user for found in page.context["cl"].result_list] == [other]


def test_support_does_not_see_the_log(entry, support, client):
    client.force_login(support)
    assert client.get(reverse("admin:admin_logentry_changelist")).status_code == 403
