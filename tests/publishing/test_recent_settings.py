"""The publishing settings of students' requests, read at most once a second."""

import pytest

from publishing.models import PublishingSettings

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def a_second(settings, monkeypatch):
    settings.PUBLISHING_SETTINGS_SECONDS = 1
    monkeypatch.setattr(PublishingSettings, "_recent", None)


def test_requests_of_one_second_read_the_settings_once(
    monkeypatch, django_assert_num_queries
):
    PublishingSettings.get_solo()
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    with django_assert_num_queries(1):
        found = {id(PublishingSettings.recent()) for _request in range(10)}
    assert len(found) == 1


def test_a_change_is_followed_after_a_second(monkeypatch):
    PublishingSettings.get_solo()
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    assert not PublishingSettings.recent().local_fallback_mode
    PublishingSettings.objects.update(local_fallback_mode=True)
    now = 100.9
    assert not PublishingSettings.recent().local_fallback_mode
    now = 101.0
    assert PublishingSettings.recent().local_fallback_mode


def test_settings_that_cannot_be_read_are_asked_for_again(monkeypatch):
    def refuse(*_arguments):
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(PublishingSettings, "get_solo", refuse)
        with pytest.raises(RuntimeError):
            PublishingSettings.recent()
    assert PublishingSettings.recent() is not None
