"""Secrets in the database: encrypted, readable with any key, errors are reported."""

import pytest
from cryptography.fernet import Fernet

from core import secrets
from core.secrets import SecretsError
from publishing.checks import check_secrets_keys
from publishing.models import PublishingSettings

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
PLAIN = "s3cr3t/Ключ+مفتاح"


def test_what_is_encrypted_can_be_read_and_does_not_show_it(settings):
    settings.SECRETS_KEYS = [NEW]
    stored = secrets.encrypt(PLAIN)
    assert PLAIN not in stored
    assert stored != secrets.encrypt(PLAIN), "the same twice does not look the same"
    assert secrets.decrypt(stored) == PLAIN


def test_a_new_key_in_front_still_reads_what_the_old_one_wrote(settings):
    settings.SECRETS_KEYS = [OLD]
    stored = secrets.encrypt(PLAIN)
    settings.SECRETS_KEYS = [NEW, OLD]
    assert secrets.decrypt(stored) == PLAIN
    rewritten = secrets.encrypt(PLAIN)
    settings.SECRETS_KEYS = [NEW]
    assert secrets.decrypt(rewritten) == PLAIN


def test_a_lost_key_is_said_and_no_ciphertext_is_given(settings):
    settings.SECRETS_KEYS = [OLD]
    stored = secrets.encrypt(PLAIN)
    settings.SECRETS_KEYS = [NEW]
    with pytest.raises(SecretsError) as refused:
        secrets.decrypt(stored)
    assert "MEMORA_SECRETS_KEYS" in refused.value.message
    assert stored not in refused.value.message
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("keys", [["short"], [NEW, "not a key"], ["é" * 44]])
def test_a_key_that_is_none_is_refused_without_naming_it(settings, keys):
    settings.SECRETS_KEYS = keys
    with pytest.raises(SecretsError) as refused:
        secrets.encrypt(PLAIN)
    assert not any(key in refused.value.message for key in keys)


def test_production_needs_a_key_of_its_own(settings):
    settings.SECRETS_KEYS = []
    assert secrets.decrypt(secrets.encrypt(PLAIN)) == PLAIN
    settings.PRODUCTION = True
    with pytest.raises(SecretsError):
        secrets.encrypt(PLAIN)


def test_no_secret_is_no_secret(settings):
    settings.PRODUCTION = True
    settings.SECRETS_KEYS = []
    assert secrets.encrypt("") == secrets.decrypt("") == ""


def test_check_refuses_a_key_that_is_none_by_its_place(settings):
    settings.SECRETS_KEYS = [NEW, OLD]
    assert check_secrets_keys() == []
    settings.SECRETS_KEYS = [NEW, "not a key"]
    (refused,) = check_secrets_keys()
    assert refused.id == "publishing.E004"
    assert "Key 2" in refused.msg
    assert "not a key" not in refused.msg


@pytest.mark.django_db
def test_a_secret_in_the_clear_is_not_saved():
    current = PublishingSettings.get_solo()
    current.cdn_secret_key = PLAIN
    with pytest.raises(ValueError, match="not encrypted"):
        current.save()
    assert PublishingSettings.get_solo().cdn_secret_key == ""
