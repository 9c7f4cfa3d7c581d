"""Every event, each of its details, every refusal and every request has words."""

import re
import uuid

import pytest
from django.contrib.auth.models import Group, Permission
from django.urls import get_resolver
from django.utils import translation

from memora_site.error_codes import ERROR_CODES
from players import audit, audit_words, request_words, roles
from players.models import SecurityEvent, SecurityEventType as Type, SessionEndReason

pytestmark = pytest.mark.django_db

ARABIC = re.compile("[\u0621-\u064a]")
SAMPLES = {
    "by": ["link", "code"],
    "code": ["DEVICE_NOT_AUTHORIZED"],
    "columns": [["email", "full_name", "grade", "password", "school_number"]],
    "deleted": [True],
    "device_name": ["هاتف سارة"],
    "endpoint": ["auth-login"],
    "events": [1234],
    "filters": [["from", "q", "staff", "student", "type__exact", "until"]],
    "first": [True],
    "freezes": [2],
    "force": [True, False],
    "is_staff": [True, False],
    "is_superuser": [True, False],
    "item": ["MATH-1"],
    "lessons": [12],
    "node": ["UNIT-1"],
    "classes": [{"added": ["5 A"], "removed": ["5 B"]}],
    "plan_id": ["PLAN-5"],
    "player": [12],
    "players": [30],
    "replaced": [str(uuid.UUID(int=7))],
    "synced": [500],
    "until": [None, "2030-01-01T00:00:00+00:00"],
    "xp": [50, -50],
}
"""Values of details; those that name rows are added by `samples`."""
RAW = re.compile(r"[A-Za-z]_|auth-")
"""A code, such as NOT_STAFF, type__exact or auth-login."""


@pytest.fixture
def samples(plan):
    group = Group.objects.get(name=roles.SUPPORT)
    permission = Permission.objects.first()
    return SAMPLES | {
        "group": [group.pk],
        "groups": [{"added": [group.pk], "removed": [999_999]}],
        "permissions": [{"removed": [permission.pk]}],
        "plan": [plan.pk],
        "previous": [None, plan.pk],
    }


def values_of(kind, key, samples):
    if key == "reason":
        ends = kind == Type.SESSION_ENDED
        return SessionEndReason.values if ends else ["أولمبياد الرياضيات"]
    return samples[key]


@pytest.mark.parametrize("kind", list(Type))
@pytest.mark.parametrize("language", ["ar", "en"])
def test_every_type_has_a_sentence_and_a_badge(student, manager, kind, language):
    manager.full_name = "Mona"
    by_manager = SecurityEvent(type=kind, user=student.user, actor=manager)
    alone = SecurityEvent(type=kind, user=student.user)
    with translation.override(language):
        for event in (by_manager, alone):
            text = audit_words.sentence(event)
            assert "%(" not in text
            assert not text.startswith(kind.value)
        assert "Mona" not in audit_words.sentence(alone)
    assert audit_words.look(alone) != ("·", "quiet")


@pytest.mark.parametrize("kind", list(Type))
@pytest.mark.parametrize("language", ["ar", "en"])
def test_every_detail_of_every_type_has_words(student, samples, kind, language):
    for key in audit.DETAILS[kind]:
        for value in values_of(kind, key, samples):
            event = SecurityEvent(type=kind, user=student.user, details={key: value})
            names = audit_words.names_of([event])
            with translation.override(language):
                reason = audit_words.reason(event)
                facts = audit_words.facts(event, names)
            assert bool(reason) != bool(facts), "a detail is shown once"
            for label, shown in facts:
                assert shown
                if language == "ar":
                    assert ARABIC.search(label), label
            if key != "replaced":  # the id of a device
                assert not RAW.search(reason + " ".join(s for _, s in facts)), key


def test_a_detail_without_words_cannot_be_recorded(student):
    with pytest.raises(ValueError, match="telephone"):
        audit.record(Type.LOGIN, user_id=student.user_id, telephone="1")
    with pytest.raises(ValueError, match="telephone"):
        audit.record_each(Type.LOGIN, [(student.user_id, {"telephone": "1"})])


@pytest.mark.parametrize("kind", [k for k in Type if "reason" not in audit.DETAILS[k]])
def test_a_reason_that_staff_wrote_is_the_reason_of_every_type(student, kind):
    with audit.because("نُسي الجهاز"):
        audit.record(kind, user_id=student.user_id)
    event = SecurityEvent.objects.filter(type=kind).order_by("pk").last()
    assert audit_words.reason(event) == "نُسي الجهاز"
    assert audit_words.facts(event, audit_words.names_of([event])) == []


def test_a_reason_that_staff_wrote_follows_the_known_one(student):
    details = {"reason": SessionEndReason.ENDED_BY_STAFF, "note": "lost phone"}
    event = SecurityEvent(type=Type.SESSION_ENDED, details=details)
    assert audit_words.reason(event) == "ended by staff: lost phone"


@pytest.mark.parametrize("language", ["ar", "en"])
def test_every_refusal_has_words(language):
    forbidden = {code for code, known in ERROR_CODES.items() if known.status == 403}
    of_a_sign_in = {"INVALID_CREDENTIALS", "INVALID_RESET_CODE", "SERVICE_UNAVAILABLE"}
    with translation.override(language):
        for code in forbidden | of_a_sign_in | {"NOT_STAFF"}:
            words = request_words.refusal(code)
            assert words != code
            if language == "ar":
                assert ARABIC.search(words), code


def url_names(patterns):
    for pattern in patterns:
        yield from url_names(getattr(pattern, "url_patterns", []))
        yield getattr(pattern, "name", None)


@pytest.mark.parametrize("language", ["ar", "en"])
def test_every_request_that_can_be_refused_has_words(language):
    patterns = get_resolver().url_patterns
    api_and_admin = [
        pattern
        for pattern in patterns
        if str(pattern.pattern).startswith(("api/v1/", "admin/", "account/"))
    ]
    refuse_nobody = {"jsi18n", "view_on_site", "api-schema", "api-docs", None}
    names = set(url_names(api_and_admin)) - refuse_nobody | {"bad_token", "ended_token"}
    with translation.override(language):
        words = {name: request_words.request(name) for name in names}
    assert [name for name, text in words.items() if text == name] == []
    if language == "ar":
        assert [name for name, text in words.items() if not ARABIC.search(text)] == []


def test_what_has_no_words_is_shown_as_it_is(student):
    event = SecurityEvent(
        type=Type.REFUSED,
        user=student.user,
        details={"code": "NEW_CODE", "endpoint": "new-page", "later": 1},
    )
    assert audit_words.reason(event) == "NEW_CODE"
    facts = audit_words.facts(event, audit_words.names_of([event]))
    assert facts == [("request", "new-page"), ("later", "1")]
