"""Passwords are hashed with Argon2id; older hashes are replaced at sign-in."""

import re

import pytest
from argon2.low_level import Type
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.contrib.auth.password_validation import validate_password

from core import statement_guard
from players import hashers
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


def test_a_generated_password_is_hashed_cheaply_until_the_first_sign_in(
    student, app, django_capture_on_commit_callbacks
):
    password = hashers.generate()
    encoded = hashers.hash_generated(password)
    assert encoded.startswith("argon2$argon2id$v=19$m=2048,t=1,p=1$")
    User.objects.filter(email=EMAIL).update(password=encoded)
    assert app.sign_in(EMAIL, "wrong").status_code == 401
    assert stored() == encoded
    with django_capture_on_commit_callbacks(execute=True):
        assert app.sign_in(EMAIL, password).status_code == 200
    assert OWASP.fullmatch(stored())


def test_a_wrong_password_costs_a_full_hash_also_where_a_generated_one_is_stored(
    student, app, monkeypatch
):
    User.objects.filter(email=EMAIL).update(
        password=hashers.hash_generated(hashers.generate())
    )
    full = []
    encode = Argon2idHasher.encode

    def counted(self, *args):
        full.append(self.params().memory_cost)
        return encode(self, *args)

    monkeypatch.setattr(Argon2idHasher, "encode", counted)
    app.sign_in(EMAIL, "wrong")
    assert full == [19 * 1024]


def test_generated_passwords_are_readable_different_and_accepted():
    made = {hashers.generate() for _number in range(200)}
    assert len(made) == 200
    for password in made:
        assert re.fullmatch(r"[a-hjkmnp-z2-9]{5}-[a-hjkmnp-z2-9]{5}", password)
        validate_password(password, User(email=EMAIL, full_name="Lina"))
