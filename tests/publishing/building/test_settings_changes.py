"""A change of the publishing settings rebuilds exactly what depends on it."""

import pytest
from django.contrib.auth.models import Group
from django.db import models
from django.test import Client
from django.utils import translation

from core import folding
from plans.models import AcademicPlan
from players import roles
from players.models import User
from publishing import destinations, queue, staleness
from publishing.admin_views import plan_views
from publishing.building import builds, sweep
from publishing.format import search
from publishing.models import Publication, PublishedDocument, PublishingSettings
from publishing.signing import renewal
from tests.publishing import release
from tests.publishing.admin_views.test_cdn_settings import PAGE, form
from tests.publishing.fake_s3 import turn_on

pytestmark = pytest.mark.django_db

SIGNED = 2_000_000_000


@pytest.fixture
def published(plan) -> AcademicPlan:
    """An up-to-date plan, as if one of its lessons had a signed video."""
    PublishingSettings.get_solo()
    builds.publish_plan(plan.pk)
    lesson = PublishedDocument.objects.filter(lesson_id="LES-MATH-0-0")
    lesson.update(signed_until=SIGNED)
    queue.remove(queue.pending_plans())
    return plan


def save(**values) -> None:
    current = PublishingSettings.get_solo()
    for name, value in values.items():
        setattr(current, name, value)
    current.save()


def signed_until() -> int | None:
    return PublishedDocument.objects.get(lesson_id="LES-MATH-0-0").signed_until


@pytest.fixture
def commit(django_capture_on_commit_callbacks):
    def run(write) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            write()

    return run


def test_the_form_saved_as_it_was_makes_nothing_anew(published, commit):
    manager = User.objects.create_user("m@example.com", "p", is_staff=True)
    manager.groups.add(Group.objects.get(name=roles.SYSTEM_MANAGERS))
    browser = Client()
    browser.force_login(manager)
    sent = form(browser.get(PAGE))
    commit(lambda: browser.post(PAGE, sent))
    assert staleness.pending() == {}
    assert queue.pending_plans() == set()
    assert signed_until() == SIGNED


@pytest.mark.parametrize(
    "value",
    [
        {"batch_threshold": 7},
        {"kept_generations": 9},
        {"min_free_disk_percent": 3},
        {"cdn_gzip": True},
        {"cdn_base_url": "https://cdn.example.org"},  # not in use
        {"cloudflare_zone": "z"},
    ],
    ids=lambda value: next(iter(value)),
)
def test_what_no_document_depends_on_makes_nothing_anew(published, commit, value):
    commit(lambda: save(**value))
    commit(lambda: PublishingSettings.objects.update(**value))
    assert staleness.pending() == {}
    assert queue.pending_plans() == set()
    assert signed_until() == SIGNED


@pytest.mark.parametrize(
    ("value", "signs_anew"),
    [
        ({"search_shard_threshold": 1}, False),
        ({"embed_signed_urls": False}, False),
        ({"local_domain": "https://learn.example"}, True),
    ],
    ids=["search_shard_threshold", "embed_signed_urls", "local_domain"],
)
def test_what_documents_depend_on_makes_every_plan_wait(
    published, commit, value, signs_anew
):
    commit(lambda: save(**value))
    assert set(staleness.pending()) == queue.pending_plans() == {published.pk}
    assert signed_until() == (0 if signs_anew else SIGNED)


def test_new_folding_rules_make_the_search_of_every_plan_anew(published, monkeypatch):
    monkeypatch.setattr(folding, "VERSION", folding.VERSION + 1)
    monkeypatch.setattr(search, "searchable", str.upper)
    assert set(staleness.pending()) == {published.pk}
    sweep.process_pending(limit=10)
    index = release.read(f"plans/{published.public_id}/search_index.json")
    assert {item["text"] for item in index["items"]} == {
        f"{item['title']} {item.get('description', '')}".upper()
        for item in index["items"]
    }
    assert staleness.pending() == {}


def test_the_plan_page_names_new_folding_rules(published, monkeypatch):
    monkeypatch.setattr(folding, "VERSION", folding.VERSION + 1)
    with translation.override("en"):
        assert plan_views.state_of(published).sources == ["the search rules"]


@pytest.mark.parametrize(
    "value",
    [{"signed_url_hours": 1}, {"cdn_private_bucket": "other"}],
    ids=lambda value: next(iter(value)),
)
def test_what_signatures_depend_on_signs_anew_and_builds_nothing(published, value):
    save(**value)
    assert staleness.pending() == {}
    assert signed_until() == 0


def test_every_value_that_signs_is_a_setting():
    assert {
        field.attname for field in PublishingSettings._meta.concrete_fields
    } >= renewal.SIGNATURE_SETTINGS


def test_turning_the_cdn_on_makes_no_plan_wait_before_it_has_one(published):
    current = turn_on("https://s3.example.org")
    assert staleness.pending() == {}
    Publication.objects.update(cdn_place=destinations.public_destination_id(current))
    assert set(staleness.pending()) == {published.pk}


def test_a_value_that_came_back_makes_nothing_anew(published):
    before = PublishingSettings.get_solo().search_shard_threshold
    save(search_shard_threshold=1)
    save(search_shard_threshold=before)
    assert staleness.pending() == {}


def test_no_change_is_lost_however_it_was_written(published):
    # As in a race of two saves: no revision is raised, no signal is sent.
    models.QuerySet(PublishingSettings).update(search_shard_threshold=1)
    assert set(staleness.pending()) == {published.pk}
