"""Purging by URL, within Cloudflare's limits."""

import pytest

from publishing.cdn import purging
from publishing.cdn.backends.base import DistributionError
from publishing.models import PublishingSettings
from tests.publishing.fake_s3 import TOKEN, ZONE


@pytest.fixture
def naps(monkeypatch) -> list[float]:
    """The durations of the waits, which are skipped."""
    waited: list[float] = []
    monkeypatch.setattr(purging.time, "sleep", waited.append)
    return waited


@pytest.fixture
def purger(purges) -> purging.Purger:
    return purging.CloudflarePurger(zone=ZONE, token=TOKEN)


def urls(count: int) -> list[str]:
    return [f"https://cdn.example.org/{number}.json" for number in range(count)]


def test_thirty_urls_go_into_one_request(purges, purger):
    purger.purge(urls(61))
    assert [len(few) for few in purges.purged] == [30, 30, 1]
    assert purges.urls() == urls(61)
    assert purges.refused == []


def test_nothing_to_purge_asks_nobody(purges, purger):
    purger.purge([])
    assert purges.purged == []


def test_a_rate_limit_is_waited_out_as_long_as_it_says(purges, purger, naps):
    purges.limit_next = 2
    purger.purge(urls(1))
    assert naps == [1.0, 1.0]
    assert purges.urls() == urls(1)


def test_a_rate_limit_without_end_is_given_up_in_words(purges, purger, naps):
    purges.limit_next = 100
    with pytest.raises(DistributionError, match="does not accept more purge requests"):
        purger.purge(urls(1))
    assert len(naps) == 3


def test_a_longer_limit_is_given_up_and_nobody_asks_before_it_is_over(
    purges, purger, naps, monkeypatch
):
    monkeypatch.setattr(purging.time, "monotonic", clock := SteppedClock())
    purges.limit_next, purges.retry_after = 100, 300
    for _again in range(3):
        with pytest.raises(
            DistributionError, match="does not accept more purge requests"
        ):
            purger.purge(urls(1))
    assert (naps, len(purges.refused)) == ([], 1)
    purges.limit_next, clock.now = 0, 301
    purger.purge(urls(1))
    assert purges.urls() == urls(1)


class SteppedClock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.django_db
def test_all_runs_of_a_process_know_of_a_limit(purges, naps):
    current = PublishingSettings(**purges.fields())
    purges.limit_next, purges.retry_after = 1, 300
    for _run in range(2):
        with pytest.raises(
            DistributionError, match="does not accept more purge requests"
        ):
            purging.purger_of(current).purge(urls(1))
    assert len(purges.refused) == 1


def test_a_server_in_trouble_is_asked_again_and_ever_more_slowly(purges, purger, naps):
    purges.fail_with = 502
    with pytest.raises(DistributionError, match="HTTP 502"):
        purger.purge(urls(1))
    assert naps == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("zone", "token", "words"),
    [(ZONE, "wrong", "refuses the token"), ("0" * 32, TOKEN, "no zone with that id")],
)
def test_a_refusal_is_said_at_once_and_without_the_token(
    purges, naps, zone, token, words
):
    with pytest.raises(DistributionError, match=words) as refused:
        purging.CloudflarePurger(zone=zone, token=token).purge(urls(1))
    assert naps == []
    assert token not in refused.value.message


def test_an_api_that_does_not_answer_is_said(settings, purger):
    settings.CLOUDFLARE_API_URL = "http://127.0.0.1:9/client/v4"
    with pytest.raises(DistributionError, match="does not answer"):
        purger.purge(urls(1))


@pytest.mark.django_db
def test_without_zone_and_token_nothing_is_purged(purges, settings):
    assert isinstance(
        purging.purger_of(PublishingSettings.get_solo()), purging.NullPurger
    )
    purging.purger_of(PublishingSettings.get_solo()).purge(urls(3))
    assert purges.purged == []


class OtherPurger(purging.NullPurger):
    """A purger for another CDN: one small class."""

    @classmethod
    def from_settings(cls, current: PublishingSettings) -> "OtherPurger":
        return cls()


@pytest.mark.django_db
def test_another_cdn_is_one_small_class(settings):
    settings.CDN_PURGE_BACKEND = f"{__name__}.OtherPurger"
    assert isinstance(purging.purger_of(PublishingSettings.get_solo()), OtherPurger)
