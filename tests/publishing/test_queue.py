"""From an edit to a started worker."""

import socket
import threading
import time

import pytest
from django.db import transaction
from structlog.testing import capture_logs

from content.models import LessonStage, Node
from memora_site.celery import app
from plans.models import AcademicPlan
from publishing import queue, receivers, tasks
from publishing.building import builds, snapshot, sweep
from publishing.cdn import sync
from publishing.models import PublishingSettings, SyncLog
from tests.factories.content import make_subject
from tests.publishing import release
from tests.publishing.conftest import node


@pytest.mark.django_db(transaction=True)
def test_an_edit_queues_the_plans_that_have_it_once(plan, monkeypatch):
    other = AcademicPlan.objects.create(title="Other", is_published=True)
    other.plan_subjects.create(subject=make_subject("PHYS"))
    queue.remove(queue.pending_plans())
    woken = []
    monkeypatch.setattr(receivers, "wake", lambda pks, urgent: woken.append(pks))
    with transaction.atomic():
        for number in range(3):
            Node.objects.filter(public_id="LES-MATH-0-0").update(title=f"T{number}")
        LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="S")
        assert woken == []
    assert woken == [[plan.pk]]


@pytest.mark.django_db(transaction=True)
def test_what_waits_stands_in_the_redis_set(plan, redis_client):
    assert redis_client.smembers("cdn_export:pending_plans") == {b"%d" % plan.pk}
    sweep.process_pending(limit=10)
    assert redis_client.smembers("cdn_export:pending_plans") == set()


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_edit_queues_nothing(plan):
    builds.publish_plan(plan.pk)

    def edit_and_fail():
        with transaction.atomic():
            lesson = node("LES-MATH-0-0")
            lesson.title = "Never"
            lesson.save()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        edit_and_fail()
    assert queue.pending_plans() == set()
    assert builds.publish_plan(plan.pk) is None


@pytest.mark.django_db(transaction=True)
def test_local_fallback_mode_publishes_at_once(plan):
    current = PublishingSettings.get_solo()
    current.local_fallback_mode = True
    current.save()
    lesson = node("LES-MATH-0-0")
    lesson.title = "Now"
    lesson.save()
    assert release.read("lessons/LES-MATH-0-0.json")["title"] == "Now"
    assert queue.pending_plans() == set()


@pytest.mark.django_db(transaction=True)
def test_many_pending_plans_publish_at_once(plan):
    current = PublishingSettings.get_solo()
    current.batch_threshold = 2
    current.save()
    assert SyncLog.objects.count() == 0
    AcademicPlan.objects.create(title="Second", is_published=True)
    assert SyncLog.objects.count() == 2


@pytest.mark.django_db
def test_without_redis_the_sweep_still_finds_the_edit(plan, settings):
    settings.REDIS_URL = "unix:///nonexistent/redis.sock"
    assert queue.add([plan.pk]) == 0
    sweep.process_pending(limit=10)
    release.walk("PLAN-A")


@pytest.fixture
def silent_broker(settings, monkeypatch):
    """A broker that accepts connections and never answers; timeouts are 1/50 of usual.

    Returns a function: whether it had to close a connection that would wait for ever.
    """
    server = socket.create_server(("127.0.0.1", 0))
    settings.CELERY_TASK_ALWAYS_EAGER = False
    settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {
        name: value / 50 if name.startswith("socket_") else value
        for name, value in settings.CELERY_BROKER_TRANSPORT_OPTIONS.items()
    }
    monkeypatch.setattr(app.amqp, "_producer_pool", None)
    monkeypatch.setattr(app, "_pool", None)
    hang_up = threading.Timer(30, server.close)
    hang_up.start()
    yield hang_up.finished.is_set
    hang_up.cancel()
    server.close()


@pytest.mark.django_db
def test_an_edit_does_not_wait_for_a_broker_that_never_answers(plan, silent_broker):
    with capture_logs() as logs:
        receivers.wake([plan.pk], urgent=True)
    assert [line["event"] for line in logs] == ["publish_wakeup_lost"]
    assert not silent_broker()


@pytest.mark.django_db
def test_two_builders_do_not_build_one_plan(plan):
    with queue.build_lock(plan.pk) as first, queue.build_lock(plan.pk) as second:
        assert (first, second) == (True, False)
        assert builds.publish_plan(plan.pk) is None
    with queue.build_lock(plan.pk) as again:
        assert again


@pytest.mark.django_db(transaction=True)
def test_a_worker_who_finds_the_plan_busy_leaves_its_edit_to_the_builder(
    plan, monkeypatch
):
    builds.publish_plan(plan.pk)
    node("LES-MATH-0-0").save()
    real = snapshot.take

    def take_and_sell(plan_pk, **kwargs):
        """After the snapshot, make a lesson paid, which starts a worker."""
        monkeypatch.setattr(snapshot, "take", real)
        taken = real(plan_pk, **kwargs)
        lesson = node("LES-MATH-0-0")
        lesson.required_item = "BOOK-1"
        lesson.save()
        return taken

    monkeypatch.setattr(snapshot, "take", take_and_sell)
    builds.publish_plan(plan.pk)
    topic = release.read("plans/PLAN-A/TOP-MATH-0.json")
    assert topic["lessons"][0]["access"]["required_item"] == "BOOK-1"
    assert queue.pending_plans() == set()


@pytest.mark.django_db
def test_a_batch_has_a_limit_and_says_what_is_left(plan):
    for number in range(3):
        AcademicPlan.objects.create(title=f"P{number}", is_published=True)
    assert sweep.process_pending(limit=3) == 1
    assert sweep.process_pending(limit=3) == 0


# --- The lock -------------------------------------------------------------------------


def lock_of(plan: AcademicPlan) -> str:
    return f"cdn_export:lock:{plan.pk}"


@pytest.mark.django_db
def test_a_lock_names_its_owner_and_runs_out_soon_after_its_death(plan, redis_client):
    with queue.build_lock(plan.pk):
        first = redis_client.get(lock_of(plan))
        assert 0 < redis_client.ttl(lock_of(plan)) <= 60
    with queue.build_lock(plan.pk):
        assert redis_client.get(lock_of(plan)) not in (None, first)


@pytest.mark.django_db
def test_a_lock_is_renewed_while_its_owner_lives(plan, redis_client, monkeypatch):
    monkeypatch.setattr(queue, "_RENEW_SECONDS", 0.01)
    with queue.build_lock(plan.pk):
        redis_client.expire(lock_of(plan), 20)
        for _look in range(1000):
            if redis_client.ttl(lock_of(plan)) > 20:
                break
            time.sleep(0.01)
        assert redis_client.ttl(lock_of(plan)) > 20


@pytest.mark.django_db
def test_a_lock_that_another_took_meanwhile_is_neither_renewed_nor_released(
    plan, redis_client, monkeypatch
):
    monkeypatch.setattr(queue, "_RENEW_SECONDS", 0.01)
    with queue.build_lock(plan.pk):
        redis_client.set(lock_of(plan), "another's", ex=20)
        time.sleep(0.1)  # a few renewals
    assert redis_client.get(lock_of(plan)) == b"another's"
    assert redis_client.ttl(lock_of(plan)) <= 20


# --- The tasks ------------------------------------------------------------------------


@pytest.fixture
def uploads(monkeypatch) -> list[str]:
    """Grows when an upload is started; none is made."""
    asked: list[str] = []

    def refuse() -> None:
        raise AssertionError("the build waits for an upload")

    monkeypatch.setattr(sync, "distribute", refuse)
    monkeypatch.setattr(tasks.distribute, "delay", lambda: asked.append("upload"))
    return asked


@pytest.mark.django_db
def test_no_batch_waits_for_an_upload(plan, uploads):
    tasks.process_pending()
    assert uploads == ["upload"]
    release.walk("PLAN-A")


@pytest.mark.django_db
def test_publish_now_does_not_wait_for_an_upload(plan, uploads):
    tasks.publish_plan(plan.pk, "admin")
    assert uploads == ["upload"]
    release.walk("PLAN-A")
