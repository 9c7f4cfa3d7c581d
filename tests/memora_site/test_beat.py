"""What beat sends and how often; messages expire before the next one is due."""

import pytest
from celery.schedules import crontab
from django.conf import settings

from memora_site.celery import app
from publishing.models import PublishingSettings

EVERY = {
    "publishing.tasks.process_pending": 300,
    "publishing.tasks.apply_scheduled_changes": 60,
    "publishing.tasks.renew_signatures": settings.SIGNATURE_RENEW_SECONDS,
    "publishing.tasks.reconcile_open_lessons": 60,
    "publishing.tasks.prune_generations": 3600,
    "publishing.tasks.heartbeat": 60,
    "publishing.tasks.watch_disk": 60,
    "publishing.tasks.watch_queue": 30,
    "publishing.tasks.distribute": 30,
    "publishing.tasks.check_health": 3600,
    "content.tasks.delete_expired_drafts": 3600,
    "players.tasks.sync_pending_wallets": 900,
    "players.tasks.tidy_photos": 3600,
    "players.tasks.end_expired_sessions": 3600,
    "players.tasks.finish_erasures": 300,
    "players.tasks.apply_retention": 3600,
    "progress.tasks.sync_pending_bitmaps": 30,
    "progress.tasks.reconcile_records": 60,
    "progress.tasks.apply_held_events": 300,
    "progress.tasks.count_lessons": 300,
    "registrar.tasks.check_zoho": 12 * 3600,
    "registrar.tasks.poll_grades": 300,
    "registrar.tasks.erase_deleted_students": 3600,
    "registrar.tasks.find_accounts": 300,
    "registrar.tasks.follow_registrations": 300,
    "registrar.tasks.process_inbox": 15,
    "registrar.tasks.prune_inbox": 3600,
    "registrar.tasks.prune_outbox": 3600,
    "registrar.tasks.read_changes": 900,
    "registrar.tasks.reconcile": 24 * 3600,
    "registrar.tasks.repair_moodle": 24 * 3600,
    "registrar.tasks.send_effects": 15,
}
"""Seconds between two runs, as documented and as the dashboard promises."""


def seconds(entry) -> float:
    if isinstance(entry["schedule"], crontab):
        runs_a_day = len(entry["schedule"].minute) * len(entry["schedule"].hour)
        return 24 * 3600 / runs_a_day
    return entry["schedule"]


def test_beat_sends_each_task_as_often_as_promised():
    schedule = settings.CELERY_BEAT_SCHEDULE.values()
    assert {entry["task"]: seconds(entry) for entry in schedule} == EVERY


def test_beat_sends_only_what_a_worker_knows():
    app.loader.import_default_modules()
    assert EVERY.keys() <= app.tasks.keys()


@pytest.mark.parametrize("name", settings.CELERY_BEAT_SCHEDULE)
def test_what_no_worker_took_is_dropped_when_the_next_is_due(name):
    entry = settings.CELERY_BEAT_SCHEDULE[name]
    assert 0 < entry["options"]["expires"] <= seconds(entry)


def test_a_batch_and_its_threshold_are_the_specification_s():
    assert settings.PUBLISH_BATCH_SIZE == 10
    assert PublishingSettings().batch_threshold == 50
    assert settings.PUBLISH_RETRY_DELAYS == (30, 60, 120, 300, 900)
