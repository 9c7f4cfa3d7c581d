"""From an edit to a woken worker."""

import pytest
from django.db import transaction

from content.models import LessonStage, Node
from plans.models import AcademicPlan
from publishing import builds, queue, receivers
from publishing.models import PublishingSettings, SyncLog
from tests.publishing import release
from tests.publishing.conftest import make_subject, node


@pytest.mark.django_db(transaction=True)
def test_an_edit_queues_the_plans_that_have_it_once(plan, monkeypatch):
    other = AcademicPlan.objects.create(title="Other", is_published=True)
    other.plan_subjects.create(subject=make_subject("PHYS"))
    queue.remove(queue.waiting())
    woken = []
    monkeypatch.setattr(receivers, "wake", woken.append)
    with transaction.atomic():
        for number in range(3):
            Node.objects.filter(public_id="LES-MATH-0-0").update(title=f"T{number}")
        LessonStage.objects.filter(public_id="STG-MATH-0-0").update(title="S")
        assert woken == []
    assert woken == [[plan.pk]]


@pytest.mark.django_db(transaction=True)
def test_what_waits_stands_in_the_redis_set(plan, redis_client):
    assert redis_client.smembers("cdn_export:pending_plans") == {b"%d" % plan.pk}
    builds.process_pending(limit=10)
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
    assert queue.waiting() == set()
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
    assert queue.waiting() == set()


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
    builds.process_pending(limit=10)
    release.walk("PLAN-A")


@pytest.mark.django_db
def test_two_builders_do_not_build_one_plan(plan):
    with queue.build_lock(plan.pk) as first, queue.build_lock(plan.pk) as second:
        assert (first, second) == (True, False)
        assert builds.publish_plan(plan.pk) is None
    with queue.build_lock(plan.pk) as again:
        assert again


@pytest.mark.django_db
def test_a_batch_has_a_limit_and_says_what_is_left(plan):
    for number in range(3):
        AcademicPlan.objects.create(title=f"P{number}", is_published=True)
    assert builds.process_pending(limit=3) == 1
    assert builds.process_pending(limit=3) == 0
