"""The audit trail is written, never changed."""

import pytest

from players import audit
from players.errors import AppendOnlyError
from players.models import SecurityEvent, SecurityEventType

pytestmark = pytest.mark.django_db


@pytest.fixture
def event(student):
    audit.record(SecurityEventType.LOGIN, user_id=student.user_id, reason="test")
    return SecurityEvent.objects.get()


@pytest.mark.parametrize(
    "change",
    [
        lambda event: event.save(),
        lambda event: event.delete(),
        lambda _event: SecurityEvent.objects.update(type="logout"),
        lambda _event: SecurityEvent.objects.all().delete(),
        lambda _event: SecurityEvent.objects.filter(type="login").delete(),
        lambda event: SecurityEvent.objects.bulk_update([event], ["type"]),
        lambda event: SecurityEvent.objects.update_or_create(pk=event.pk),
    ],
)
def test_a_line_cannot_be_changed_or_deleted(event, change):
    with pytest.raises(AppendOnlyError):
        change(event)
    assert SecurityEvent.objects.get() == event


def test_a_line_outlives_the_account_it_is_about(event, student):
    student.user.delete()
    event = SecurityEvent.objects.get()
    assert (event.user, event.details) == (None, {"reason": "test"})
