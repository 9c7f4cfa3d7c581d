"""A student who forgot the password sets a new one, by a link or by a code."""

import io
import logging.config
import re
import smtplib
import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from celery.exceptions import Retry
from django.core.mail import EmailMessage
from django.db import connection, connections
from django.test import Client
from kombu.exceptions import OperationalError

from core import statement_guard
from core.db_backends.sqlite3.base import DatabaseWrapper
from memora_site import logs
from players import tasks
from players.errors import InvalidResetCodeError, StaffAccountError, StoreAwayError
from players.models import PasswordResetCode, PlayerProfile, SecurityEvent, User
from players.services import accounts, password_resets, retention
from tests.players.app import PASSWORD, App

pytestmark = pytest.mark.django_db
EMAIL = "lina@school.example"
NEW = "another horse 8"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
UNKNOWN = "nobody@school.example"


@pytest.fixture
def clock():
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


@pytest.fixture
def log(settings):
    """Log as in production; return what was written."""
    config = logs.logging_config(json=True, level="INFO")
    written = config["handlers"]["stderr"]["stream"] = io.StringIO()
    logging.config.dictConfig(config)
    yield written
    logging.config.dictConfig(settings.LOGGING)


def request_link(email: str = EMAIL):
    return App().post("auth/password-reset/", {"email": email})


def link_in(mail: EmailMessage) -> str:
    """The link in a mail, as a path with its query."""
    (link,) = re.findall(r"^http\S+$", mail.body, re.MULTILINE)
    assert link.startswith("http://127.0.0.1:8000/")
    return link.removeprefix("http://127.0.0.1:8000")


@pytest.fixture
def link(student, mailoutbox) -> str:
    assert request_link().status_code == 202
    return link_in(mailoutbox[0])


def send(link: str, password: str = NEW, again: str = ""):
    fields = {"new_password1": password, "new_password2": again or password}
    return Client().post(link, fields)


# --- Who gets a link ------------------------------------------------------------------


def test_a_student_gets_a_link_in_their_own_language(student, mailoutbox):
    PlayerProfile.objects.filter(pk=student.pk).update(locale="ar")
    request_link("Lina@School.Example")
    PlayerProfile.objects.filter(pk=student.pk).update(locale="en")
    request_link()
    assert [mail.to for mail in mailoutbox] == [[EMAIL], [EMAIL]]
    arabic, english = mailoutbox
    assert english.subject == "A new password for Memora"
    assert "Hello Lina," in english.body
    assert "كلمة مرور" in arabic.subject
    assert "Lina" in arabic.body
    assert "Hello" not in arabic.body


def test_the_answer_and_the_work_do_not_depend_on_the_account(
    student, support, monkeypatch, django_assert_num_queries
):
    enqueued = []
    monkeypatch.setattr(tasks.send_reset_link, "delay", enqueued.append)
    both = accounts.create_player("both@school.example", PASSWORD).user
    User.objects.filter(pk=both.pk).update(is_staff=True)
    off = accounts.create_player("off@school.example", PASSWORD).user
    User.objects.filter(pk=off.pk).update(is_active=False)
    told = set()
    for email in (EMAIL, UNKNOWN, support.email, both.email, off.email, "x"):
        with django_assert_num_queries(2):  # the account by address, the audit event
            answer = request_link(email)
        told.add((answer.status_code, answer.content))
    assert len(told) == 1
    assert {status for status, _body in told} == {202}
    assert enqueued == [student.user_id, 0, 0, 0, 0, 0]


def test_a_request_without_an_account_sends_nothing(student, support, mailoutbox):
    for email in (UNKNOWN, support.email):
        request_link(email)
    assert mailoutbox == []


def test_the_host_of_the_request_is_not_in_the_link(student, mailoutbox, settings):
    settings.ALLOWED_HOSTS = ["*"]
    App().client.post(
        "/api/v1/auth/password-reset/",
        {"email": EMAIL},
        format="json",
        headers={"Host": "evil.example"},
    )
    assert link_in(mailoutbox[0]).startswith("/account/password/?account=")


def test_links_are_limited_by_account_and_by_network(student, settings):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {
        "reset_link_account": (2, 60),
        "reset_ip": (5, 60),
    }
    for email in (EMAIL, UNKNOWN):
        for _again in range(2):
            assert request_link(email).status_code == 202
        assert request_link(email).status_code == 429
    # Other accounts have their own limit, within that of the network.
    assert request_link("x@school.example").status_code == 202
    assert request_link("y@school.example").status_code == 429
    limited = SecurityEvent.objects.filter(type="rate_limited")
    assert [event.details for event in limited] == 3 * [
        {"endpoint": "auth-password-reset"}
    ]


def test_while_the_queue_is_away_everyone_is_told_so(student, monkeypatch):
    def refuse(_user_id):
        raise OperationalError("refused")

    monkeypatch.setattr(tasks.send_reset_link, "delay", refuse)
    for email in (EMAIL, UNKNOWN):
        answer = request_link(email)
        assert (answer.status_code, answer.json()["error_code"]) == (
            503,
            "SERVICE_UNAVAILABLE",
        )


def test_while_redis_cannot_count_mails_none_is_sent(
    student, settings, tmp_path, mailoutbox
):
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    for email in (EMAIL, UNKNOWN):
        answer = request_link(email)
        assert (answer.status_code, answer.json()["error_code"]) == (
            503,
            "SERVICE_UNAVAILABLE",
        )
    assert mailoutbox == []


def test_a_mail_that_is_not_taken_is_tried_again_without_its_address(
    student, monkeypatch, log, mailoutbox
):
    sent = EmailMessage.send
    attempts = []

    def refuse_once(mail):
        attempts.append(mail)
        if len(attempts) == 1:
            raise smtplib.SMTPRecipientsRefused({mail.to[0]: (450, b"busy")})
        return sent(mail)

    monkeypatch.setattr(EmailMessage, "send", refuse_once)
    with pytest.raises(Retry):
        tasks.send_reset_link.apply([student.user_id])
    assert mailoutbox == []
    tasks.send_reset_link.apply([student.user_id])
    assert len(attempts) == 2
    assert len(mailoutbox) == 1
    assert "SMTPRecipientsRefused" in log.getvalue()
    assert EMAIL not in log.getvalue()


# --- The link -------------------------------------------------------------------------


def test_the_link_sets_a_new_password_once(signed_in, link):
    page = Client().get(link)
    assert page.status_code == 200
    assert "no-store" in page["Cache-Control"]
    assert page["Referrer-Policy"] == "same-origin"
    done = send(link)
    assert (done.status_code, done["Location"]) == (302, "/account/password/?done=1")
    assert "is saved" in Client().get(done["Location"]).content.decode()
    assert send(link, "a third horse 9").status_code == Client().get(link).status_code
    assert Client().get(link).status_code == 410
    assert User.objects.get(email=EMAIL).check_password(NEW)


def test_a_reset_ends_the_session_and_is_audited(signed_in, link, student):
    with statement_guard.rewriting():
        SecurityEvent.objects.all()._raw_delete("default")
    send(link)
    assert signed_in.get("me/").json()["error_code"] == "PASSWORD_CHANGED"
    assert signed_in.sign_in(EMAIL).status_code == 401
    assert signed_in.sign_in(EMAIL, NEW).status_code == 200
    told = SecurityEvent.objects.order_by("pk").values_list(
        "type", "user_id", "ip_address", "details"
    )
    who = (student.user_id, "127.0.0.1")
    assert list(told)[:3] == [
        ("password_reset", *who, {"by": "link"}),
        ("password_changed", *who, {}),
        ("session_ended", *who, {"reason": "password_changed"}),
    ]


def test_a_link_is_valid_for_an_hour(clock, link):
    clock.shift(timedelta(hours=1))
    assert Client().get(link).status_code == 200
    clock.shift(timedelta(seconds=1))
    assert Client().get(link).status_code == 410
    assert send(link).status_code == 410


@pytest.mark.parametrize(
    "query",
    ["", "account=1", "account=x&token=y", "account=99999999999999999999&token=y"],
)
def test_an_invented_link_is_not_valid(student, query):
    assert Client().get(f"/account/password/?{query}").status_code == 410


def test_a_link_is_for_its_own_account(student, link):
    other = accounts.create_player("omar@school.example", PASSWORD)
    foreign = link.replace(f"account={student.user_id}", f"account={other.user_id}")
    assert send(foreign).status_code == 410


def test_an_account_that_got_rights_is_not_reset_by_an_earlier_link(student, link):
    User.objects.filter(pk=student.user_id).update(is_staff=True)
    assert send(link).status_code == 410
    assert User.objects.get(email=EMAIL).check_password(PASSWORD)


@pytest.mark.parametrize(
    ("password", "again", "word"),
    [("short", "", "too short"), (NEW, "a third horse 9", "match")],
)
def test_the_page_tells_what_is_wrong_with_the_password(link, password, again, word):
    page = send(link, password, again)
    assert page.status_code == 200
    assert word in page.content.decode()
    assert send(link).status_code == 302


def test_the_page_is_in_both_languages(link):
    arabic = Client().get(link, headers={"Accept-Language": "ar"}).content.decode()
    assert re.search(r'<html[^>]+lang="ar"[^>]+dir="rtl"', arabic)
    assert "حفظ كلمة المرور الجديدة" in arabic
    english = Client().get(link, headers={"Accept-Language": "en"}).content.decode()
    assert "Save the new password" in english
    for page in (arabic, english):
        assert 'name="viewport"' in page
        assert 'href="/admin/' not in page


def test_two_uses_of_a_link_at_once_set_one_password(student, link):
    """Both forms are valid before either is saved."""
    token = link.partition("token=")[2]
    user = password_resets.account_of_link(str(student.user_id), token)
    assert password_resets.use_link(user, token, NEW)
    assert not password_resets.use_link(user, token, "a third horse 9")
    assert User.objects.get(email=EMAIL).check_password(NEW)


def test_no_log_has_the_token_or_the_address(student, log, mailoutbox):
    request_link()
    link = link_in(mailoutbox[0])
    Client().get(link)
    send(link)
    token = link.partition("token=")[2]
    assert "GET /account/password/" in log.getvalue()
    assert token not in log.getvalue()
    assert EMAIL not in log.getvalue()


# --- A code ---------------------------------------------------------------------------


@pytest.fixture
def code(student, support) -> str:
    return password_resets.issue_code(student, support)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**8:08d}"


def confirm(code: str, new: str = NEW, email: str = EMAIL):
    body = {"email": email, "code": code, "new_password": new}
    return App().post("auth/password-reset/confirm/", body)


def test_a_code_has_eight_digits_and_only_its_hash_is_stored(code, student, support):
    assert re.fullmatch(r"[0-9]{8}", code)
    row = PasswordResetCode.objects.get(player=student)
    assert code not in row.code_hash
    assert re.fullmatch(r"[0-9a-f]{64}", row.code_hash)
    event = SecurityEvent.objects.get(type="reset_code_issued")
    assert (event.user_id, event.actor_id, event.details) == (
        *(student.user_id, support.pk),
        {},
    )


def test_a_code_sets_a_new_password_once(signed_in, code, student):
    assert confirm(code).status_code == 204
    assert signed_in.get("me/").json()["error_code"] == "PASSWORD_CHANGED"
    assert signed_in.sign_in(EMAIL, NEW).status_code == 200
    assert confirm(code, "a third horse 9").json()["error_code"] == "INVALID_RESET_CODE"
    event = SecurityEvent.objects.get(type="password_reset")
    assert (event.user_id, event.details) == (student.user_id, {"by": "code"})


def test_a_code_is_typed_in_any_script_and_with_spaces(code):
    arabic = code.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
    assert confirm(f"{arabic[:4]} {arabic[4:]}").status_code == 204


def test_a_code_is_valid_for_an_hour(clock, code):
    clock.shift(timedelta(hours=1))
    assert confirm(code).json()["error_code"] == "INVALID_RESET_CODE"
    retention.apply(now=datetime.now(UTC))
    assert not PasswordResetCode.objects.exists()


def test_after_five_wrong_guesses_the_right_code_is_refused(code):
    for _guess in range(5):
        assert confirm(wrong(code)).status_code == 400
    refused = confirm(code)
    assert refused.json()["error_code"] == "INVALID_RESET_CODE"
    assert User.objects.get(email=EMAIL).check_password(PASSWORD)


def test_after_four_wrong_guesses_it_is_not(code):
    for _guess in range(4):
        confirm(wrong(code))
    assert confirm(code).status_code == 204


def test_a_new_code_replaces_the_old_one(code, student, support):
    newer = password_resets.issue_code(student, support)
    assert PasswordResetCode.objects.count() == 1
    assert newer == code or confirm(code).status_code == 400
    assert confirm(newer).status_code == 204


def test_a_weak_password_costs_no_attempt(code):
    for _again in range(7):
        answer = confirm(code, "short")
        assert (answer.status_code, answer.json()["error_code"]) == (
            400,
            "INVALID_BODY",
        )
        assert "too short" in answer.json()["details"]["fields"]["new_password"][0]
    assert confirm(code).status_code == 204


def test_a_code_that_cannot_be_used_now_can_be_used_later(
    signed_in, code, monkeypatch, redis_client
):
    """The password fits the typed address, and not the account's; then Redis is away."""
    checked = password_resets.validate_password
    calls = []

    def refuse_second(password, user):
        calls.append(user)
        if len(calls) == 2:
            raise password_resets.ValidationError("too similar to the name")
        checked(password, user)

    monkeypatch.setattr(password_resets, "validate_password", refuse_second)
    assert confirm(code).json()["error_code"] == "INVALID_BODY"

    def away(*_args):
        raise StoreAwayError("Redis is away")

    with monkeypatch.context() as broken:
        broken.setattr(password_resets, "_set", lambda *_args, **_kwargs: away())
        assert confirm(code).status_code == 503
    assert PasswordResetCode.objects.get().attempts_left == 5
    assert confirm(code).status_code == 204


@pytest.mark.parametrize("email", [UNKNOWN, "sami@school.example", "x"])
def test_without_an_account_or_a_code_the_answer_is_that_of_a_wrong_code(
    code, support, email
):
    assert confirm(code, email=email).json() == confirm(wrong(code)).json()


def test_a_changed_password_makes_the_code_invalid(signed_in, code):
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert signed_in.post("me/password/", body).status_code == 204
    assert confirm(code, "a third horse 9").status_code == 400


def test_an_account_with_rights_in_the_admin_gets_no_code(student, support, code):
    User.objects.filter(pk=student.user_id).update(is_staff=True)
    assert confirm(code).json()["error_code"] == "INVALID_RESET_CODE"
    with pytest.raises(StaffAccountError):
        password_resets.issue_code(student, support)


def test_guesses_are_limited_and_the_right_code_is_no_guess(
    code, student, support, settings
):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"reset_code_account": (2, 60)}
    assert confirm(code).status_code == 204
    code = password_resets.issue_code(student, support)
    for _guess in range(2):
        assert confirm(wrong(code)).status_code == 400
    assert confirm(code).status_code == 429
    event = SecurityEvent.objects.get(type="rate_limited")
    assert event.details == {"endpoint": "auth-password-reset-confirm"}


def test_no_log_and_no_audit_event_has_the_code(student, support, log):
    code = password_resets.issue_code(student, support)
    confirm(wrong(code))
    confirm(code)
    written = log.getvalue() + str(list(SecurityEvent.objects.values()))
    assert "reset_code_issued" in log.getvalue()
    assert code not in written
    assert wrong(code) not in written
    assert EMAIL not in written


def test_a_reset_needs_no_token_and_no_session_of_the_site(
    student, django_assert_num_queries
):
    answer = request_link()
    assert answer["Content-Security-Policy"].startswith("default-src 'none'")
    assert not answer.cookies


# --- Guesses at the same time ---------------------------------------------------------


@pytest.fixture
def judged(monkeypatch, settings) -> list[str]:
    """The guesses that were compared with a code; no request is limited."""
    settings.RATE_LIMITS = settings.RATE_LIMITS | dict.fromkeys(
        ("reset_code_account", "reset_ip"), (10**9, 60)
    )
    compared: list[str] = []
    compare = password_resets.constant_time_compare

    def counted(held, guess):
        compared.append(guess)
        return compare(held, guess)

    monkeypatch.setattr(password_resets, "constant_time_compare", counted)
    return compared


def guess_in_threads(code: str, *, threads: int, guesses: int, open_connection) -> int:
    """Try wrong codes from all threads at once; return how many were refused."""
    start = threading.Barrier(threads)
    refused = []

    def run(number: int) -> None:
        open_connection()
        try:
            start.wait()
            for turn in range(guesses):
                guess = (int(code) + 1 + number * guesses + turn) % 10**8
                try:
                    password_resets.use_code(
                        email=EMAIL,
                        code=f"{guess:08d}",
                        new=NEW,
                        ip_address="203.0.113.9",
                        now=datetime.now(UTC),
                    )
                except InvalidResetCodeError:
                    refused.append(guess)
        finally:
            connection.close()

    running = [threading.Thread(target=run, args=(n,)) for n in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return len(refused)


@pytest.mark.mariadb
@pytest.mark.django_db(transaction=True)
def test_of_ten_thousand_guesses_at_once_five_are_judged(judged, code):
    refused = guess_in_threads(
        code, threads=20, guesses=500, open_connection=lambda: None
    )
    assert refused == 10_000
    assert len(judged) == 5
    assert PasswordResetCode.objects.get().attempts_left == 0
    assert confirm(code).status_code == 400


@pytest.mark.skipif(connection.vendor != "sqlite", reason="needs SQLite")
@pytest.mark.django_db(transaction=True)
def test_of_guesses_at_once_on_sqlite_five_are_judged(judged, code, tmp_path):
    """On a file, as in the embedded default: connections to SQLite in memory do not
    wait for each other."""
    file = tmp_path / "db.sqlite3"
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(file)])
    config = {**connections.settings["default"], "NAME": str(file)}

    def open_file() -> None:
        connections["default"] = DatabaseWrapper(config, "default")

    refused = guess_in_threads(code, threads=8, guesses=25, open_connection=open_file)
    assert refused == 200
    assert len(judged) == 5
