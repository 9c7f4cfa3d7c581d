"""The cache holds JSON, so that write access to Redis does not allow code execution."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django_redis import get_redis_connection

from content import pending_uploads


class Payload:
    """An attacker's payload: unpickling it creates a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.folder,)


def test_a_pickled_value_is_not_unpickled(tmp_path):
    key = cache.make_key("k")
    get_redis_connection("default").set(key, pickle.dumps(Payload(tmp_path / "made")))
    with pytest.raises(ValueError, match="decode"):
        cache.get("k")
    assert not (tmp_path / "made").exists()


def test_an_object_is_refused_when_it_is_stored(tmp_path):
    with pytest.raises(TypeError):
        cache.set("k", Payload(tmp_path / "made"))


def test_a_kept_upload_comes_back_byte_for_byte():
    data = bytes(range(256)) * 40
    token = pending_uploads.store(owner=1, name="كتاب.xlsx", data=data)
    assert pending_uploads.read(owner=1, token=token) == ("كتاب.xlsx", data)


@pytest.mark.parametrize("text", ["12", "نعم", "null"])
def test_the_answer_of_a_claim_stays_a_text(text):
    pending_uploads.store_result(owner=1, token="t", message=text)
    assert pending_uploads.claim(owner=1, token="t") == text


@pytest.mark.django_db
def test_sign_ins_that_failed_are_counted():
    user = get_user_model().objects.create_superuser("a@example.org", "right-pass-12")
    browser, page = Client(), reverse("admin:login")
    form = {"username": user.email, "password": "wrong"}
    statuses = [
        browser.post(page, form).status_code
        for _attempt in range(settings.AXES_FAILURE_LIMIT + 1)
    ]
    assert set(statuses[:-2]) == {200}
    assert statuses[-1] == 429


@pytest.mark.django_db
def test_staff_sign_in_again_after_twelve_hours(client):
    user = get_user_model().objects.create_superuser("a@example.org", "right-pass-12")
    form = {"username": user.email, "password": "right-pass-12"}
    client.post(reverse("admin:login"), form)
    assert client.cookies[settings.SESSION_COOKIE_NAME]["max-age"] == 12 * 3600
    assert client.session.get_expiry_age() == 12 * 3600
