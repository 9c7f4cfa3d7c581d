"""Passwords are hashed with Argon2id; older hashes are replaced at sign-in."""

import re

import pytest
from argon2.low_level import Type
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password

from core import statement_guard
from players.hashers import Argon2idHasher
from players.models import SecurityEvent, User
from tests.players.app import PASSWORD

EMAIL = "lina@school.example"
OWASP = re.compile(r"argon2\$argon2id\$v=19\$m=19456,t=2,p=1\$[^$]+\$[^$]+")
SITES_HASHERS = [
    "players.hashers.Argon2idHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]


@pytest.fixture(autouse=True)
def real_hashers(settings, monkeypatch) -> None:
    """The hashers of production, with a PBKDF2 that is fast enough for tests."""
    settings.PASSWORD_HASHERS = SITES_HASHERS
    monkeypatch.setattr(PBKDF2PasswordHasher, "iterations", 1_000)


def stored() -> str:
    return User.objects.get(email=EMAIL).password


def test_the_settings_name_it_first():
    from memora_site import settings as file

    assert file.PASSWORD_HASHERS == SITES_HASHERS


def test_a_new_password_is_hashed_with_owasps_parameters():
    encoded = make_password(PASSWORD)
    assert OWASP.fullmatch(encoded)
    assert len(encoded) <= User._meta.get_field("password").max_length
    assert Argon2idHasher().params().type is Type.ID


def test_a_student_signs_in(student, app):
    assert OWASP.fullmatch(stored())
    assert app.sign_in(EMAIL, "wrong").status_code == 401
    assert app.sign_in(EMAIL).status_code == 200


@pytest.mark.parametrize("old", ["pbkdf2", "more memory"])
def test_an_older_hash_is_replaced_at_sign_in_and_ends_no_session(
    student, app, old, django_capture_on_commit_callbacks
):
    hasher = PBKDF2PasswordHasher() if old == "pbkdf2" else Argon2idHasher()
    if old != "pbkdf2":
        hasher.memory_cost = 32 * 1024
    encoded = hasher.encode(PASSWORD, hasher.salt())
    User.objects.filter(email=EMAIL).update(password=encoded)
    with statement_guard.rewriting():
        SecurityEvent.objects.filter(type="password_changed")._raw_delete("default")

    assert app.sign_in(EMAIL, "wrong").status_code == 401
    assert stored() == encoded
    with django_capture_on_commit_callbacks(execute=True):
        assert app.sign_in(EMAIL).status_code == 200
    assert OWASP.fullmatch(stored())
    assert app.get("wallet/").status_code == 200
    assert not SecurityEvent.objects.filter(type="password_changed").exists()


def test_an_unknown_address_costs_one_hash_like_a_wrong_password(
    student, app, monkeypatch
):
    hashed = []
    for name in ("encode", "verify"):
        original = getattr(Argon2idHasher, name)

        def counted(self, *args, original=original):
            hashed.append(1)
            return original(self, *args)

        monkeypatch.setattr(Argon2idHasher, name, counted)
    app.sign_in(EMAIL, "wrong")
    assert len(hashed) == 1
    app.sign_in("nobody@school.example", "wrong")
    assert len(hashed) == 2
