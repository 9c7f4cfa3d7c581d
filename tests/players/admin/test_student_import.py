"""The pages that import students: upload, preview, start, progress."""

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import OperationalError

from core.spreadsheets.files import as_csv
from players import tasks
from players.models import ImportStatus, PlayerProfile, StudentImport
from players.services import import_runs, retention

pytestmark = pytest.mark.django_db

PAGE = reverse("admin:import_students")
PREVIEW = reverse("admin:import_students_preview")


def upload(browser, *rows, name="students.csv"):
    data = as_csv([["email", "name", "grade", "colour"], *map(list, rows)])
    return browser.post(PREVIEW, {"file": SimpleUploadedFile(name, data)})


def start(browser, shown):
    run = shown.context["preview"].run
    url = reverse("admin:import_students_start", args=[run.pk])
    return browser.post(url, {"key": shown.context["preview"].key}, follow=True)


def test_those_who_may_import_find_the_page_in_the_list_of_apps(
    browser, client_of, support
):
    index = reverse("admin:app_list", args=["players"])
    assert PAGE in browser.get(index).content.decode()
    assert PAGE not in client_of(support).get(index).content.decode()


def test_the_page_names_the_columns(browser):
    page = browser.get(PAGE).content.decode()
    assert "school number" in page
    assert "البريد الإلكتروني" in page


def test_a_file_is_shown_and_then_imported_with_its_progress(browser):
    shown = upload(
        browser,
        ["a@b.example", "Lina", "", "red"],
        ["b@b.example", "B", "Grade 99", ""],
    )
    text = shown.content.decode()
    assert "There is no grade “Grade 99”." in text
    assert "colour" in text
    assert "no-store" in shown["Cache-Control"]
    assert not PlayerProfile.objects.exists()
    page = start(browser, shown)
    assert page.context["run"].status == ImportStatus.FINISHED
    assert "Rows: 2 of 2" in page.content.decode()
    assert "There is no grade “Grade 99”." in page.content.decode()
    assert PlayerProfile.objects.get().user.email == "a@b.example"
    again = start(browser, shown)
    assert "was started before" in again.content.decode()


def test_slips_of_the_students_that_an_import_created_are_printed(browser):
    page = start(browser, upload(browser, ["a@b.example", "Lina", "", ""]))
    run = page.context["run"]
    url = reverse("admin:import_students_slips", args=[run.pk])
    assert url in page.content.decode()
    assert "1 student gets a new password" in browser.post(url).content.decode()
    given = {"confirmed": "yes", "part": 0, "language": "ar"}
    assert browser.post(url, given).content.startswith(b"%PDF")
    assert PlayerProfile.objects.get().user.has_usable_password()
    again = start(browser, upload(browser, ["a@b.example", "Lina K", "", ""]))
    assert "slips/" not in again.content.decode()


def test_a_running_import_renews_its_page_until_it_has_stopped(browser):
    run = StudentImport.objects.create(status=ImportStatus.RUNNING, total=9)
    url = reverse("admin:import_students_progress", args=[run.pk])
    assert 'http-equiv="refresh"' in browser.get(url).content.decode()
    StudentImport.objects.update(progress_at=timezone.now() - timedelta(minutes=4))
    page = browser.get(url).content.decode()
    assert 'http-equiv="refresh"' not in page
    assert "Upload the same file again" in page


def test_a_file_that_is_no_spreadsheet_is_refused(browser):
    page = upload(browser, ["a@b.example", "", "", ""], name="students.pdf")
    assert page.status_code == 400
    assert "Upload an .xlsx or a .csv file." in page.content.decode()
    assert browser.post(PREVIEW).status_code == 400


def test_without_a_broker_the_import_can_be_started_later(browser, monkeypatch):
    def refuse(*_args):
        raise OperationalError

    shown = upload(browser, ["a@b.example", "", "", ""])
    with monkeypatch.context() as patch:
        patch.setattr(tasks.import_students, "delay", refuse)
        assert "cannot be started" in start(browser, shown).content.decode()
    start(browser, shown)
    assert PlayerProfile.objects.exists()


def test_a_failed_import_says_so_and_keeps_no_file(browser, monkeypatch):
    shown = upload(browser, ["a@b.example", "", "", ""])

    def fail(*_args):
        raise RuntimeError

    monkeypatch.setattr(import_runs, "_run", fail)
    with pytest.raises(RuntimeError):
        start(browser, shown)
    run = StudentImport.objects.get()
    assert (run.status, bytes(run.data)) == (ImportStatus.FAILED, b"")
    page = browser.get(reverse("admin:import_students_progress", args=[run.pk]))
    assert "failed before its end" in page.content.decode()


def test_an_old_import_is_deleted_with_its_file(browser):
    upload(browser, ["a@b.example", "", "", ""])
    now = timezone.now()
    retention.apply(now=now + timedelta(hours=23))
    assert StudentImport.objects.exists()
    retention.apply(now=now + timedelta(hours=25))
    assert not StudentImport.objects.exists()


def test_support_may_not_import_students(client_of, support):
    page = client_of(support).get(PAGE)
    assert page.status_code == 403
