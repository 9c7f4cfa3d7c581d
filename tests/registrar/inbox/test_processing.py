"""What the inbox has stored is read from the CRM and applied, in order per record."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError
from django.db import connection, connections
from django.utils import timezone

from registrar import queues, tasks
from registrar.inbox import retention
from registrar.inbox.processing import MAX_DEPTH, process
from registrar.mirror.decisions import decision_of
from registrar.models import (
    Delivery,
    Hint,
    Payment,
    PeerState,
    Program,
    Registration,
    SchoolClass,
    Student,
)
from registrar.models.work import WorkState
from registrar.peers.errors import PeerUnavailableError
from tests.commands import run, run_json
from tests.registrar.inbox.conftest import STUDENT_UPDATED

pytestmark = pytest.mark.django_db


def hint(module="BTEC_Students", record_id="1", **values):
    now = timezone.now()
    values = {"operation": "changed", "created_at": now, "due_at": now, **values}
    return Hint.objects.create(module=module, record_id=record_id, **values)


def drain(source):
    while process(source=source).tried:
        pass


def test_a_hint_is_read_from_the_crm_and_its_own_values_are_not_used(
    zoho, connected, send
):
    student = zoho.store.insert("BTEC_Students", {"City": "Amman"})
    send({"id": student["id"], "City": "Forged"})
    tasks.process_inbox()
    assert Student.objects.get().city == "Amman"
    done = Hint.objects.get()
    assert done.state == WorkState.DONE
    assert decision_of(done.decision).outcome == "created"


def test_a_webhook_starts_the_processing_of_its_record(
    zoho, connected, send, django_capture_on_commit_callbacks
):
    student = zoho.store.insert("BTEC_Students", {"City": "Amman"})
    with django_capture_on_commit_callbacks(execute=True):
        send({"id": student["id"]})
    assert Student.objects.get().city == "Amman"


def test_a_webhook_that_names_many_records_starts_one_task(
    zoho, connected, send, django_capture_on_commit_callbacks
):
    ids = [zoho.store.insert("BTEC_Students", {})["id"] for _ in range(100)]
    with django_capture_on_commit_callbacks(execute=True):
        send({"ids": ids})
    assert Student.objects.count() == 100
    reads = [one for one in zoho.requests if one.path.endswith("/BTEC_Students")]
    assert len(reads) == 1


def test_the_same_webhook_ten_times_has_one_effect(zoho, connected, send):
    student = zoho.store.insert("BTEC_Students", {"City": "Amman"})
    for _ in range(10):
        send({"id": student["id"], "Modified_Time": student["Modified_Time"]})
    tasks.process_inbox()
    send({"id": student["id"], "Modified_Time": student["Modified_Time"]})
    assert Delivery.objects.get().times == 11
    assert Hint.objects.count() == 1
    assert Student.objects.get().version == 1


def test_the_same_body_without_a_version_counts_again_once_the_record_was_read(
    zoho, connected, send
):
    student = zoho.store.insert("BTEC_Students", {"City": "Amman"})
    send({"id": student["id"]})
    send({"id": student["id"]})
    tasks.process_inbox()
    assert Hint.objects.count() == 1
    zoho.store.update("BTEC_Students", student["id"], {"City": "Irbid"})
    send({"id": student["id"]})
    tasks.process_inbox()
    assert Hint.objects.count() == 2
    assert Student.objects.get().city == "Irbid"


def test_hints_of_one_record_that_wait_together_need_one_read(zoho, source):
    student = zoho.store.insert("BTEC_Students", {"City": "Amman"})
    for _ in range(3):
        hint(record_id=student["id"])
    before = len(zoho.requests)
    drain(source)
    reads = [one for one in zoho.requests[before:] if one.method == "GET"]
    assert len(reads) == 1
    assert set(Hint.objects.values_list("state", flat=True)) == {"done"}


def test_a_hundred_records_need_one_call(zoho, source):
    for number in range(100):
        student = zoho.store.insert("BTEC_Students", {"City": f"C{number}"})
        hint(record_id=student["id"])
    drain(source)
    assert Student.objects.count() == 100
    reads = [one for one in zoho.requests if one.path.endswith("/BTEC_Students")]
    assert len(reads) == 1


def test_a_payment_before_its_registration_ends_with_both(zoho, connected, send):
    student = zoho.store.insert("BTEC_Students", {"First_Name": "ليلى"})
    program = zoho.store.insert("Products", {"Product_Name": "BTEC IT"})
    registration = zoho.store.insert(
        "BTEC_Registrations",
        {"Student_ID": {"id": student["id"]}, "Program": {"id": program["id"]}},
    )
    payment = zoho.store.insert(
        "BTEC_Payments",
        {"Registration_ID": {"id": registration["id"]}, "Payment_Amount": 12.5},
    )
    hint("BTEC_Payments", payment["id"])
    tasks.process_inbox.delay()
    assert Payment.objects.get().registration == Registration.objects.get()
    assert Registration.objects.get().student == Student.objects.get()
    assert Registration.objects.get().program == Program.objects.get()
    depths = Hint.objects.order_by("pk").values_list("module", "depth")
    assert dict(depths) == {
        "BTEC_Payments": 0,
        "BTEC_Registrations": 1,
        "BTEC_Students": 2,
        "Products": 2,
    }


def test_parents_are_fetched_to_a_bounded_depth(zoho, source):
    student = zoho.store.insert("BTEC_Students", {})
    registration = zoho.store.insert(
        "BTEC_Registrations", {"Student_ID": {"id": student["id"]}}
    )
    hint("BTEC_Registrations", registration["id"], depth=MAX_DEPTH)
    drain(source)
    assert Registration.objects.exists()
    assert not Student.objects.exists()


def test_a_parent_that_the_crm_does_not_have_is_asked_for_once(zoho, source):
    made = zoho.store.insert("BTEC_Classes", {"Class_Name": "B1"})
    zoho.store.records["BTEC_Classes"][made["id"]]["Teacher"] = {"id": "404"}
    hint("BTEC_Classes", made["id"])
    drain(source)
    assert SchoolClass.objects.get().teacher_id == "404"
    assert [one.state for one in Hint.objects.all()] == ["done", "done"]


def test_a_deletion_is_believed_only_if_the_crm_no_longer_has_the_record(
    zoho, connected, send
):
    student = zoho.store.insert("BTEC_Students", {"City": "Amman"})
    path = STUDENT_UPDATED.replace("updated", "deleted")
    send({"id": student["id"]}, path)
    tasks.process_inbox()
    assert Student.objects.get().deleted_at is None
    zoho.store.delete("BTEC_Students", student["id"])
    send({"id": student["id"]}, path)
    tasks.process_inbox()
    assert Student.objects.get().status == "Deleted"


def test_a_record_that_a_list_leaves_out_is_asked_for_alone_before_it_is_deleted(
    zoho, source
):
    student = zoho.store.insert("BTEC_Students", {"City": "Amman"})
    hint(record_id=student["id"])
    zoho.hidden.add(student["id"])
    drain(source)
    assert Student.objects.get().deleted_at is None


def test_an_older_copy_than_announced_is_read_again(zoho, source):
    student = zoho.store.insert("BTEC_Students", {"City": "Amman"})
    future = datetime.now(UTC) + timedelta(hours=1)
    row = hint(record_id=student["id"], not_before=future)
    process(source=source)
    row.refresh_from_db()
    assert (row.state, row.attempts) == (WorkState.PENDING, 1)
    assert row.due_at > timezone.now()
    for _ in range(9):
        Hint.objects.update(due_at=timezone.now())
        process(source=source)
    row.refresh_from_db()
    assert row.state == WorkState.DONE


def test_a_whole_module_is_read_page_by_page(zoho, connected, send):
    for number in range(250):
        zoho.store.insert("Products", {"Product_Name": f"P{number}"})
    send({}, "/api/v1/sync/programs")
    tasks.process_inbox()
    assert Program.objects.count() == 250
    assert Hint.objects.get().decision == {"records": 250}


def test_while_the_crm_is_away_nothing_is_lost_and_the_breaker_opens(zoho, source):
    student = zoho.store.insert("BTEC_Students", {"City": "Amman"})
    hint("Products", "404")
    drain(source)  # with an access token
    row = hint(record_id=student["id"])
    zoho.fail("status", times=1000)
    for attempt in range(1, 30):
        Hint.objects.filter(pk=row.pk).update(due_at=timezone.now())
        PeerState.objects.update(open_until=None)
        assert process(source=source).tried == 1
        row.refresh_from_db()
        assert (row.state, row.attempts) == (WorkState.PENDING, attempt)
        assert row.last_error == "The system does not answer."
    Hint.objects.filter(pk=row.pk).update(due_at=timezone.now())
    assert process(source=source).tried == 0  # the breaker is open
    zoho.recover()
    PeerState.objects.update(open_until=None)
    drain(source)
    assert Student.objects.exists()
    assert PeerState.objects.get().failures == 0


def test_the_last_attempt_ends_a_row_and_an_unknown_error_tells_no_data():
    row = hint()
    row.attempts = queues.MAX_ATTEMPTS - 1
    row.save()
    queues.claim(row, now=timezone.now())
    assert queues.fail(row, ValueError("secret"), now=timezone.now()) == "dead"
    row.refresh_from_db()
    assert row.last_error == "ValueError"
    assert row.finished_at is not None


def test_a_claim_of_a_killed_worker_expires(zoho, source):
    student = zoho.store.insert("BTEC_Students", {"City": "Amman"})
    row = hint(record_id=student["id"])
    assert queues.claim(row, now=timezone.now())
    assert process(source=source).tried == 0
    Hint.objects.update(due_at=timezone.now())
    drain(source)
    assert Student.objects.exists()
    # The worker that was thought dead has lost its claim.
    assert queues.finish(row, now=timezone.now()) is False


def test_a_later_hint_waits_for_the_first_of_its_record(zoho, source):
    first = hint()
    hint()
    queues.claim(first, now=timezone.now())
    assert not queues.claimable(Hint, now=timezone.now()).exists()
    queues.fail(first, PeerUnavailableError("x", peer="zoho"), now=timezone.now())
    assert not queues.claimable(Hint, now=timezone.now()).exists()


def test_a_replay_reads_the_record_again(zoho, source):
    student = zoho.store.insert("BTEC_Students", {"City": "Amman"})
    hint(record_id=student["id"])
    hint("BTEC_Classes", "404")
    drain(source)
    zoho.store.update("BTEC_Students", student["id"], {"City": "Irbid"})
    answer, code = run_json("replay_inbox", "--module", "BTEC_Students")
    assert (answer, code) == ({"replayed": 1}, 0)
    drain(source)
    assert Student.objects.get().city == "Irbid"
    assert run("replay_inbox", "--all") == "2 rows will be done again.\n"


def test_a_replay_is_filtered_by_number_state_and_time(zoho):
    old = hint(state=WorkState.DEAD, created_at=timezone.now() - timedelta(days=2))
    hint(state=WorkState.DEAD)
    hint(state=WorkState.DONE)
    day = (timezone.now() - timedelta(days=1)).isoformat()
    assert run_json("replay_inbox", "--state", "dead", "--since", day)[0] == {
        "replayed": 1
    }
    assert run_json("replay_inbox", str(old.pk))[0] == {"replayed": 1}
    assert run_json("replay_inbox", "--until", day)[0] == {"replayed": 1}


@pytest.mark.parametrize("words", [[], ["--since", "yesterday"]])
def test_a_replay_of_everything_by_mistake_is_refused(words):
    with pytest.raises(CommandError) as caught:
        run("replay_inbox", *words)
    assert caught.value.returncode == 2


def test_old_deliveries_are_deleted_with_their_bodies(send, settings):
    send({"id": "1"})
    send({"id": "2"})
    hint()
    Hint.objects.filter(record_id="1").update(state=WorkState.DONE)
    past = timezone.now() - timedelta(days=settings.REGISTRAR_INBOX_DAYS + 1)
    Delivery.objects.update(received_at=past)
    Hint.objects.update(created_at=past)
    tasks.prune_inbox()
    # What is not done stays.
    assert Hint.objects.get().record_id == "2"
    assert Delivery.objects.count() == 1
    assert retention.prune() == 0


def test_without_an_account_the_tasks_do_nothing(django_assert_num_queries):
    # The accounts, once for each task.
    with django_assert_num_queries(1):
        tasks.process_inbox()


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_claim_one_hint():
    row = hint()
    won, barrier = [], threading.Barrier(2)

    def claim():
        mine = Hint.objects.get(pk=row.pk)
        barrier.wait()
        won.append(queues.claim(mine, now=timezone.now()))
        connections.close_all()

    if connection.vendor == "sqlite":
        pytest.skip("an in-memory database has one connection")
    workers = [threading.Thread(target=claim) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(won) == [False, True]
