"""Rows of the audit trail are added, never changed."""

from datetime import UTC, datetime, timedelta

import pytest
from django.apps import apps
from django.core import serializers
from django.db import connection, transaction
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from core.append_only import AppendOnlyModel, ReferencesQuerySet
from core.statement_guard import AppendOnlyError
from players import audit
from players.models import SecurityEvent, SecurityEventType, User, audit as audit_models

pytestmark = pytest.mark.django_db


@pytest.fixture
def event(student):
    SecurityEvent.objects.expire(before=datetime(9000, 1, 1, tzinfo=UTC))
    with audit.because("test"):
        audit.record(SecurityEventType.LOGIN, user_id=student.user_id)
    return SecurityEvent.objects.get()


def copy_of(event, **changes):
    """An unsaved row with the primary key of a saved one."""
    values = {field.attname: getattr(event, field.attname) for field in fields()}
    return SecurityEvent(**{**values, **changes})


def fields():
    return SecurityEvent._meta.concrete_fields


def load_fixture(event):
    text = serializers.serialize("json", [copy_of(event, type="logout")])
    for loaded in serializers.deserialize("json", text):
        loaded.save()


def run(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


CHANGES = {
    "save": lambda event: event.save(),
    "save_update_fields": lambda event: event.save(update_fields=["type"]),
    "save_with_pk": lambda event: copy_of(event, type="logout").save(),
    "save_forced": lambda event: copy_of(event).save(force_update=True),
    "save_base": lambda event: copy_of(event, type="logout").save_base(),
    "save_base_raw": lambda event: copy_of(event, type="logout").save_base(raw=True),
    "fixture": load_fixture,
    "delete": lambda event: event.delete(),
    "update": lambda _event: SecurityEvent.objects.update(type="logout"),
    "delete_all": lambda _event: SecurityEvent.objects.all().delete(),
    "delete_some": lambda _event: SecurityEvent.objects.filter(type="login").delete(),
    "bulk_update": lambda event: SecurityEvent.objects.bulk_update([event], ["type"]),
    "update_or_create": lambda event: SecurityEvent.objects.update_or_create(
        pk=event.pk, defaults={"type": "logout"}
    ),
    "update_conflicts": lambda event: SecurityEvent.objects.bulk_create(
        [copy_of(event, type="logout")],
        update_conflicts=True,
        update_fields=["type"],
        unique_fields=["id"],
    ),
    "ignore_conflicts": lambda event: SecurityEvent.objects.bulk_create(
        [copy_of(event, type="logout")], ignore_conflicts=True
    ),
    "default_manager": lambda _event: SecurityEvent._default_manager.update(
        type="logout"
    ),
    "base_manager": lambda _event: SecurityEvent._base_manager.update(type="logout"),
    "base_manager_reference": lambda event: SecurityEvent._base_manager.update(
        actor=event.user
    ),
    "base_manager_delete": lambda _event: SecurityEvent._base_manager.all().delete(),
    "plain_update": lambda _event: QuerySet(SecurityEvent).update(type="logout"),
    "plain_delete": lambda _event: QuerySet(SecurityEvent).delete(),
    "raw_delete": lambda _event: SecurityEvent.objects.all()._raw_delete("default"),
    "sql_delete": lambda _event: run("DELETE FROM players_securityevent"),
    "sql_update": lambda _event: run("update players_securityevent set type = 'x'"),
    "related_update": lambda event: event.user.security_events.update(type="logout"),
    "related_delete": lambda event: event.user.security_events.all().delete(),
    "related_clear": lambda event: event.user.security_events.clear(),
    "related_remove": lambda event: event.user.security_events.remove(event),
    "related_set": lambda event: event.user.security_events.set([]),
    "related_add": lambda event: User.objects.create_user(
        "other@school.example"
    ).security_events.add(event),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_line_cannot_be_changed_or_deleted(event, change):
    before = SecurityEvent.objects.filter(pk=event.pk).values().get()
    with pytest.raises(AppendOnlyError), transaction.atomic():
        change(event)
    assert SecurityEvent.objects.filter(pk=event.pk).values().get() == before


@pytest.mark.parametrize("change", ["aupdate", "adelete"])
def test_asynchronous_methods_refuse_too(event, change):
    from asgiref.sync import async_to_sync

    arguments = {"type": "logout"} if change == "aupdate" else {}
    with pytest.raises(AppendOnlyError):
        async_to_sync(getattr(SecurityEvent.objects.all(), change))(**arguments)


def test_every_append_only_model_has_the_guarding_base_manager():
    """A Meta class that does not inherit the base one loses the manager silently."""
    models = [
        model for model in apps.get_models() if issubclass(model, AppendOnlyModel)
    ]
    assert {model.__name__ for model in models} == {
        *("SecurityEvent", "InteractionLog", "ReviewRating"),
        *("ArchivedInteraction", "ArchivedRating"),
    }
    for model in models:
        assert isinstance(model._base_manager.all(), ReferencesQuerySet), model


def test_lines_are_restored_from_a_backup_into_an_empty_table(event):
    text = serializers.serialize("json", [event])
    SecurityEvent.objects.expire(before=event.created_at + timedelta(days=1))
    for loaded in serializers.deserialize("json", text):
        loaded.save()
    assert SecurityEvent.objects.get() == event


def test_a_line_outlives_the_account_it_is_about(event, student):
    student.user.delete()
    event = SecurityEvent.objects.get(pk=event.pk)
    assert (event.user, event.details) == (None, {"note": "test"})


def test_lines_expire_by_age_and_only_through_the_method_for_it(event):
    assert SecurityEvent.objects.expire(before=event.created_at) == 0
    later = event.created_at + timedelta(seconds=1)
    assert SecurityEvent.objects.filter(type="logout").expire(before=later) == 0
    assert SecurityEvent.objects.expire(before=later) == 1
    assert not SecurityEvent.objects.exists()


def test_old_lines_are_deleted_in_batches(event, monkeypatch):
    monkeypatch.setattr(audit_models, "_BATCH", 2)
    for _ in range(4):
        audit.record(SecurityEventType.LOGIN)
    later = datetime(9000, 1, 1, tzinfo=UTC)
    with CaptureQueriesContext(connection) as captured:
        assert SecurityEvent.objects.expire(before=later) == 5
    # Three times keys and rows; then no keys.
    assert len(captured) == 3 * 2 + 1
