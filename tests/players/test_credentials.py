"""E-mail addresses and passwords are compared in one canonical form."""

import importlib
import unicodedata

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from players.models import PlayerProfile, User
from players.services import accounts
from tests.players.app import PASSWORD, App

EMAIL = "lina@school.example"
SPELLINGS = [
    "LINA@School.Example",
    "  lina@school.example\n",
    "ｌｉｎａ＠school.example",  # full width
    "li\u200bna@school.example",  # zero-width space
    "\u202elina@school.example\u202c",  # right-to-left override
    "lina@school\u2060.example",  # word joiner
    "li\u034fna@school.example",  # combining grapheme joiner
    "lina\ufe0f@school.example",  # variation selector
    "\ufefflina@school.example",
    "𝐥𝐢𝐧𝐚@school.example",  # mathematical bold
    "lina@ſchool.example",  # long s
]
OTHERS = ["lína@school.example", "lına@school.example", "linа@school.example"]
"""An accent, a dotless i, a Cyrillic a: other accounts."""

NFC = "كلمةُ سرٍّ é ﷺ"
NFD = unicodedata.normalize("NFD", NFC)


@pytest.fixture
def hashed(monkeypatch):
    """Record the passwords that are hashed from now on."""
    seen = []
    encode = MD5PasswordHasher.encode

    def counted(self, password, salt):
        seen.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    return seen


# --- Addresses --------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_an_address_is_one_account(student, spelling):
    assert App().sign_in(spelling).status_code == 200
    assert User.objects.get(email=spelling) == student.user
    assert User.objects.get_by_natural_key(spelling) == student.user
    with pytest.raises(ValidationError) as refused:
        accounts.create_player(spelling, PASSWORD)
    assert "email" in refused.value.message_dict
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create_user(spelling, PASSWORD)
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.bulk_create([User(email=spelling)])


@pytest.mark.django_db
@pytest.mark.parametrize("other", OTHERS)
def test_an_address_with_another_letter_is_another_account(student, other):
    assert not User.objects.filter(email=other).exists()
    assert App().sign_in(other).status_code == 401
    User.objects.create(email=other)  # no database considers it equal


@pytest.mark.django_db
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_address_is_stored_in_its_canonical_form(spelling):
    assert User.objects.create_user(spelling).email == EMAIL
    user = User.objects.create(email=f"x{spelling.strip()}")
    user.refresh_from_db()
    assert user.email == f"x{EMAIL}"
    User.objects.filter(pk=user.pk).update(email=f"y{spelling.strip()}")
    user.refresh_from_db()
    assert user.email == f"y{EMAIL}"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "email",
    [
        "",
        "no address",
        "li na@school.example",
        '"li\\ na"@school.example',
        '"\x01"@school.example',
        "lina@sch\x00ool.example",
        "lina@school\ufdd0.example",  # a noncharacter
        "lina@school\ue000.example",  # private use
        "\u200b@school.example",
        "lina@school.example" + "\u200b" * 2000,
        "l" * 250 + "@school.example",
    ],
)
def test_an_address_that_makes_no_sense_is_refused(email):
    with pytest.raises(ValidationError) as refused:
        accounts.create_player(email, PASSWORD)
    assert "email" in refused.value.message_dict
    assert not User.objects.exists()


@pytest.mark.django_db
def test_superusers_are_made_and_found_in_the_canonical_form(monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", email="Root@School.Example", interactive=False)
    root = User.objects.get()
    assert root.email == "root@school.example"
    with pytest.raises(CommandError):
        call_command(
            "createsuperuser", email="ＲＯＯＴ@school.example", interactive=False
        )
    monkeypatch.setattr("getpass.getpass", lambda **_prompt: NFD)
    call_command("changepassword", "ROOT@school.example", stdout=None)
    root.refresh_from_db()
    assert root.check_password(NFC)


@pytest.mark.django_db
def test_the_admin_makes_and_refuses_accounts_in_the_canonical_form(client, student):
    root = User.objects.create_superuser("root@school.example", PASSWORD)
    client.force_login(root)
    page = client.post(
        reverse("admin:players_user_add"),
        {"email": SPELLINGS[2], "password1": PASSWORD, "password2": PASSWORD},
    )
    assert "email" in page.context["adminform"].form.errors
    page = client.post(
        reverse("admin:players_playerprofile_add"),
        {"email": SPELLINGS[3], "password": PASSWORD},
    )
    assert "email" in page.context["adminform"].form.errors
    other = User.objects.create_user("omar@school.example", PASSWORD)
    page = client.post(
        reverse("admin:players_user_change", args=[other.pk]), {"email": SPELLINGS[4]}
    )
    assert "email" in page.context["adminform"].form.errors


@pytest.mark.django_db
@pytest.mark.parametrize("asked", ["LINA@", "ｌｉｎａ", "school.EXAMPLE"])
def test_the_admin_finds_an_address_in_any_spelling(client, student, asked):
    client.force_login(User.objects.create_superuser("root@x.example", PASSWORD))
    for page in ("players_user", "players_playerprofile"):
        found = client.get(reverse(f"admin:{page}_changelist"), {"q": asked})
        assert [str(row) for row in found.context["cl"].result_list] == ["Lina"]


# --- Addresses stored by earlier versions --------------------------------------------


def _insert(*addresses: str) -> list[int]:
    """Create accounts as older versions stored them; return their ids."""
    made = []
    for number, address in enumerate(addresses):
        user = User.objects.create(email=f"old{number}@x.example")
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE players_user SET email = %s WHERE id = %s", [address, user.pk]
            )
        made.append(user.pk)
    return made


def _migrate() -> None:
    from django.apps import apps

    migration = importlib.import_module("players.migrations.0007_canonical_emails")
    migration.store_canonical_emails(apps, connection.schema_editor())


@pytest.mark.django_db
def test_stored_addresses_become_canonical():
    first, second, third = _insert("Lina@School.Example", "ｏmar@x.example", EMAIL[1:])
    _migrate()
    emails = dict(User.objects.values_list("pk", "email"))
    assert emails == {first: EMAIL, second: "omar@x.example", third: EMAIL[1:]}


@pytest.mark.django_db
def test_stored_addresses_that_are_one_are_named_by_id_only():
    first, second, other, nothing = _insert(
        "Lina@school.example", "ｌina@school.example", "omar@x.example", "\u200b"
    )
    with pytest.raises(RuntimeError) as refused:
        _migrate()
    said = str(refused.value)
    assert f"{first}, {second}" in said
    assert str(nothing) in said
    assert "lina" not in said.casefold()
    assert User.objects.filter(pk=other).exists()


# --- Passwords ----------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(("chosen", "typed"), [(NFC, NFD), (NFD, NFC), (NFD, NFD)])
def test_both_unicode_forms_of_a_password_sign_in(client, chosen, typed):
    accounts.create_player(EMAIL, chosen)
    assert App().sign_in(EMAIL, typed).status_code == 200
    User.objects.create_superuser("root@school.example", chosen)
    client.post(
        reverse("admin:login"), {"username": "root@school.example", "password": typed}
    )
    assert client.get(reverse("admin:index")).status_code == 200


@pytest.mark.django_db
def test_a_hash_made_before_still_signs_in_and_is_renewed(student):
    User.objects.filter(pk=student.user_id).update(password=make_password(NFD))
    device = App()
    assert device.sign_in(EMAIL, NFC).status_code == 401
    assert device.sign_in(EMAIL, NFD).status_code == 200
    assert device.sign_in(EMAIL, NFC).status_code == 200


@pytest.mark.django_db
def test_a_password_in_normal_form_is_hashed_once(student, hashed):
    App().sign_in(EMAIL)
    App().sign_in(EMAIL, "wrong")
    assert hashed == [PASSWORD, "wrong"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "password", ["wrong", "wrong é", unicodedata.normalize("NFD", "wrong é")]
)
@pytest.mark.parametrize("usable", [True, False])
def test_an_unknown_account_costs_what_a_wrong_password_costs(
    student, hashed, password, usable
):
    if not usable:
        student.user.set_unusable_password()
        student.user.save()
    root = User.objects.create_superuser("root@school.example", PASSWORD)

    def cost(sign_in):
        hashed.clear()
        sign_in()
        return len(hashed)

    def admin(username):
        Client().post(
            reverse("admin:login"), {"username": username, "password": password}
        )

    assert cost(lambda: App().sign_in(EMAIL, password)) == cost(
        lambda: App().sign_in("nobody@school.example", password)
    )
    assert cost(lambda: admin(root.email)) == cost(
        lambda: admin("nobody@school.example")
    )


@pytest.mark.parametrize(
    "password", ["ｐａｓｓｗｏｒｄ１２３", "１２３４５６７８９０３", "ﬁﬁ"]
)
def test_a_password_is_judged_in_the_form_that_is_hashed(password):
    with pytest.raises(ValidationError):
        validate_password(password)


@pytest.mark.parametrize("password", ["good horse \U000e0fff 7", "a\u0378bcdefgh-77"])
def test_a_character_without_meaning_in_unicode_makes_no_password(password):
    with pytest.raises(ValidationError):
        validate_password(password)


def test_a_password_is_no_longer_than_a_sign_in_takes():
    validate_password("ab-" * 333)
    with pytest.raises(ValidationError):
        validate_password("ab-" * 334)


@pytest.mark.django_db
def test_every_form_of_the_admin_sets_the_normal_form(client):
    root = User.objects.create_superuser("root@school.example", PASSWORD)
    client.force_login(root)
    client.post(
        reverse("admin:players_user_add"),
        {"email": EMAIL, "password1": NFD, "password2": NFD},
    )
    client.post(
        reverse("admin:players_playerprofile_add"),
        {"email": "omar@school.example", "password": NFD},
    )
    other = User.objects.create_user("noor@school.example", PASSWORD)
    client.post(
        reverse("admin:auth_user_password_change", args=[other.pk]),
        {"password1": NFD, "password2": NFD, "usable_password": "true"},
    )
    client.post(
        reverse("admin:password_change"),
        {"old_password": PASSWORD, "new_password1": NFD, "new_password2": NFD},
    )
    assert PlayerProfile.objects.count() == 1
    for user in User.objects.all():
        assert user.check_password(NFC), user.email
        assert user.check_password(NFD), user.email
