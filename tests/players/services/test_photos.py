"""Players' photos: file names, who may read them, and when files are deleted."""

import errno
import io
import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import time_machine
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client
from PIL import Image

from players.models import PlayerProfile, SecurityEvent
from players.services import photos
from players.tasks import tidy_photos
from tests.players.app import PASSWORD

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def jpeg(colour: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (colour, 0, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


def give_photo(player, data: bytes | None = None, name: str = "Lina Haddad.jpg"):
    player.photo = SimpleUploadedFile(name, jpeg() if data is None else data)
    player.save(update_fields=["photo"])
    return player.photo.name


def files() -> set[str]:
    _folders, names = default_storage.listdir("photos")
    return {f"photos/{name}" for name in names}


def status_of(answer) -> int:
    # The test client closes the file after the last byte. `answer.close()` would close
    # the test's database connection, too.
    if answer.streaming:
        b"".join(answer.streaming_content)
    return answer.status_code


def path_of(url: str) -> str:
    return urlsplit(url)._replace(scheme="", netloc="").geturl()


@pytest.fixture
def photo(student):
    return give_photo(student)


@pytest.fixture
def old_photo(student, settings):
    """A photo as earlier versions stored it: under its original file name."""
    file = Path(settings.MEDIA_ROOT, "photos", "Lina Haddad.jpg")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(jpeg())
    PlayerProfile.objects.filter(pk=student.pk).update(photo="photos/Lina Haddad.jpg")
    return "photos/Lina Haddad.jpg"


# --- Names and readers --------------------------------------------------------------


def test_a_photo_s_name_is_random(student, photo):
    assert "Lina" not in photo
    assert photo.removeprefix("photos/").removesuffix(".jpg").isalnum()
    assert give_photo(student) != photo


def test_staff_read_photos_only_with_the_permission_to_see_players(
    client, photo, support, as_staff, django_user_model
):
    url = f"/media/{photo}"
    assert status_of(as_staff(support).get(url)) == 200
    support.groups.clear()
    assert status_of(as_staff(support).get(url)) == 404
    other = django_user_model.objects.create_user("x@school.example", PASSWORD)
    assert status_of(as_staff(other).get(url)) == 404
    assert status_of(client.get(url)) == 404


def test_the_player_reads_their_photo_by_the_url_of_the_api(
    signed_in, student, photo, django_assert_num_queries
):
    signed_in.get("auth/session/")
    with django_assert_num_queries(1):  # the profile; the URL needs no query
        url = signed_in.get("me/").json()["photo_url"]
    answer = Client().get(path_of(url))
    assert answer.status_code == 200
    assert Image.open(io.BytesIO(b"".join(answer.streaming_content))).format == "JPEG"
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    answer.close()


def test_the_url_of_a_photo_ends_and_opens_nothing_else(signed_in, student, photo):
    with time_machine.travel(NOON, tick=False):
        url = path_of(
            photos.signed_uri(student.photo.name, player_id=student.pk, now=NOON)
        )
        other = give_photo(student).removeprefix("photos/")
        name = photo.removeprefix("photos/")
        client = Client()
        assert status_of(client.get(url)) == 200
        assert status_of(client.get(url.partition("?")[0])) == 403
        assert status_of(client.get(url.replace(name, other))) == 403
        assert status_of(client.get(url.replace("/photos/", "/videos/"))) == 403
    late = NOON + timedelta(seconds=photos.URL_SECONDS)
    with time_machine.travel(late, tick=False):
        assert status_of(client.get(url)) == 403


# --- Unused files ---------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_replaced_photo_is_deleted_after_the_commit(student):
    old = give_photo(student)
    with transaction.atomic():
        new = give_photo(student)
        assert files() == {old, new}
    assert files() == {new}


@pytest.mark.django_db(transaction=True)
def test_a_replacement_that_is_rolled_back_deletes_nothing(student):
    old = give_photo(student)

    with transaction.atomic():
        give_photo(student)
        transaction.set_rollback(True)
    student.refresh_from_db()
    assert student.photo.name == old
    assert old in files()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("goes", ["cleared", "player deleted", "account deleted"])
def test_a_photo_goes_with_its_player(student, goes):
    give_photo(student)
    if goes == "cleared":
        student.photo = ""
        student.save()
    else:
        (student if goes == "player deleted" else student.user).delete()
    assert files() == set()


@pytest.mark.django_db(transaction=True)
def test_saving_something_else_keeps_the_photo(student):
    name = give_photo(student)
    student.save(update_fields=["grade"])
    PlayerProfile.objects.get(pk=student.pk).save()
    assert files() == {name}


@pytest.mark.django_db(transaction=True)
def test_a_disk_that_refuses_fails_no_save_and_the_file_goes_later(
    student, monkeypatch
):
    old = give_photo(student)

    def refuse(*_args):
        raise OSError("read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "delete", refuse)
        new = give_photo(student)
    assert files() == {old, new}
    assert photos.tidy(now=datetime.now(UTC) + timedelta(hours=2)).deleted == 1
    assert files() == {new}


def test_a_file_that_a_request_has_just_stored_is_left_alone(student, photo):
    PlayerProfile.objects.filter(pk=student.pk).update(photo="")
    assert photos.tidy(now=datetime.now(UTC)).deleted == 0
    assert files() == {photo}


# --- Photos of earlier versions -----------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_old_photo_gets_a_random_name_and_loses_its_metadata(student, old_photo):
    data = Image.Exif()
    data[0x010E] = "SECRET"
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6)).save(buffer, "JPEG", exif=data.tobytes())
    Path(default_storage.path(old_photo)).write_bytes(buffer.getvalue())
    tidy_photos()
    student.refresh_from_db()
    assert files() == {student.photo.name}
    assert "Lina" not in student.photo.name
    assert b"SECRET" not in student.photo.read()
    student.photo.close()
    assert photos.tidy(now=datetime.now(UTC)).renamed == 0


@pytest.mark.django_db(transaction=True)
def test_an_old_file_that_is_no_picture_is_renamed_as_it_is(student, old_photo, capsys):
    Path(default_storage.path(old_photo)).write_bytes(b"%PDF-1.4")
    call_command("tidy_photos", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told == {"ok": True, "renamed": 1, "damaged": 1, "deleted": 0}
    student.refresh_from_db()
    assert student.photo.read() == b"%PDF-1.4"
    student.photo.close()


def test_a_photo_whose_file_is_missing_stops_nothing(student, old_photo):
    os.unlink(default_storage.path(old_photo))
    assert photos.tidy(now=datetime.now(UTC)).renamed == 0


@pytest.mark.django_db(transaction=True)
def test_a_photo_replaced_meanwhile_is_not_taken_back(student, old_photo, monkeypatch):
    save = default_storage.save

    def replaced_meanwhile(name, content):
        stored = save(name, content)
        PlayerProfile.objects.filter(pk=student.pk).update(photo="photos/new.jpg")
        return stored

    monkeypatch.setattr(default_storage, "save", replaced_meanwhile)
    assert photos.tidy(now=datetime.now(UTC)).renamed == 0
    student.refresh_from_db()
    assert student.photo.name == "photos/new.jpg"
    assert files() == {old_photo}


def test_the_command_says_when_the_disk_refuses(student, old_photo, monkeypatch):
    def refuse(*_args):
        raise OSError("no space left")

    monkeypatch.setattr(default_storage, "save", refuse)
    with pytest.raises(CommandError, match="no space left"):
        call_command("tidy_photos")


# --- The student's own ----------------------------------------------------------------


def form(data: bytes, *, field: str = "photo") -> tuple[bytes, str]:
    """A photo as a form, and the content type of the form."""
    start = f'--b\r\nContent-Disposition: form-data; name="{field}"; filename="a.jpg"'
    return (
        f"{start}\r\n\r\n".encode() + data + b"\r\n--b--\r\n",
        "multipart/form-data; boundary=b",
    )


@pytest.mark.parametrize("sent", [form(jpeg()), (jpeg(), "image/jpeg")])
def test_a_student_sets_a_photo_that_is_encoded_again(signed_in, student, sent):
    answer = signed_in.put("me/photo/", *sent)
    assert answer.status_code == 200
    photo = PlayerProfile.objects.get(pk=student.pk).photo
    assert re.fullmatch(r"photos/[0-9a-f]{32}\.jpg", photo.name)
    assert Path(photo.path).read_bytes() != jpeg()
    assert status_of(Client().get(path_of(answer.json()["photo_url"]))) == 200


def test_a_student_replaces_and_removes_the_photo(
    signed_in, student, django_capture_on_commit_callbacks
):
    for colour in (10, 20):
        with django_capture_on_commit_callbacks(execute=True):
            assert (
                signed_in.put("me/photo/", jpeg(colour), "image/jpeg").status_code
                == 200
            )
        assert len(files()) == 1
    for _again in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            assert signed_in.delete("me/photo/").status_code == 204
        assert files() == set()
        assert signed_in.get("me/").json()["photo_url"] is None


def test_a_students_changes_of_the_photo_are_told_with_device_and_address(
    signed_in, student
):
    signed_in.put("me/photo/", jpeg(), "image/jpeg")
    signed_in.delete("me/photo/")
    told = SecurityEvent.objects.filter(type__startswith="photo_").order_by("pk")
    where = (student.user_id, UUID(signed_in.device_id), "127.0.0.1")
    assert list(told.values_list("type", "user_id", "device_id", "ip_address")) == [
        ("photo_changed", *where),
        ("photo_removed", *where),
    ]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"<svg/>", "image/svg+xml", 400),
        (jpeg()[:200], "image/jpeg", 400),
        (b"", "image/jpeg", 400),
        (*form(b"no picture"), 400),
        (*form(jpeg(), field="file"), 400),
        (b"rubbish", "multipart/form-data; boundary=b", 400),
        (b'{"photo": "a"}', "application/json", 415),
    ],
)
def test_what_is_no_picture_is_refused_in_words(signed_in, body, content_type, status):
    answer = signed_in.put("me/photo/", body, content_type)
    assert answer.status_code == status
    if answer.json().get("details"):
        assert all(answer.json()["details"]["fields"]["photo"])
    assert signed_in.get("me/").json()["photo_url"] is None


@pytest.mark.parametrize("sent", [form(jpeg()), (jpeg(), "image/jpeg")])
def test_a_photo_that_is_too_large_is_refused(signed_in, settings, sent):
    settings.PICTURE_MAX_BYTES = len(jpeg()) - 1
    answer = signed_in.put("me/photo/", *sent)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_BODY")
    assert "larger" in answer.json()["details"]["fields"]["photo"][0]


def test_only_a_few_photos_are_encoded_in_a_while(signed_in, settings):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"me-photo": (1, 600)}
    assert signed_in.put("me/photo/", jpeg(), "image/jpeg").status_code == 200
    assert signed_in.put("me/photo/", jpeg(), "image/jpeg").status_code == 429


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_photo_is_503_and_the_old_one_stays(
    signed_in, student, monkeypatch, fault
):
    assert signed_in.put("me/photo/", jpeg(), "image/jpeg").status_code == 200
    held = PlayerProfile.objects.get(pk=student.pk).photo.name

    def refuse(*_arguments):
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(FileSystemStorage, "_save", refuse)
    for sent in (form(jpeg(90)), (jpeg(90), "image/jpeg")):
        answer = signed_in.put("me/photo/", *sent)
        assert answer.status_code == 503
        assert answer.json()["error_code"] == "SERVICE_UNAVAILABLE"
        assert answer["Retry-After"] == "5"
    assert PlayerProfile.objects.get(pk=student.pk).photo.name == held
    assert files() == {held}


def test_a_disk_that_deletes_nothing_lets_a_student_remove_the_photo(
    signed_in, student, monkeypatch, django_capture_on_commit_callbacks
):
    assert signed_in.put("me/photo/", jpeg(), "image/jpeg").status_code == 200

    def refuse(*_arguments):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "remove", refuse)
    with django_capture_on_commit_callbacks(execute=True):
        assert signed_in.delete("me/photo/").status_code == 204
    assert not PlayerProfile.objects.get(pk=student.pk).photo
