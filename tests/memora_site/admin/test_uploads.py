"""Uploaded files, as Django serves them by default."""

from io import BytesIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image

from content.models import Node
from players.models import User
from tests.core.test_pictures import EPS, PDF, SVG, bomb, encoded, exif

pytestmark = pytest.mark.django_db


@pytest.fixture
def picture(settings):
    """Return a function that writes a small upload and returns its URL."""

    def write(path: str) -> str:
        file = settings.MEDIA_ROOT / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"picture")
        return f"/media/{path}"

    return write


def test_an_image_uploaded_in_the_admin_can_be_read_by_anybody(browser, client, maths):
    bytes_ = BytesIO()
    Image.new("RGB", (4, 4)).save(bytes_, "PNG")
    page = browser.post(
        reverse("admin:content_node_change", args=[maths["unit"].pk]),
        {
            "title": "Unit",
            "image": SimpleUploadedFile("cell.png", bytes_.getvalue(), "image/png"),
        },
    )
    assert page.status_code == 302
    answer = client.get(Node.objects.get(pk=maths["unit"].pk).image.url)
    assert b"".join(answer.streaming_content) == bytes_.getvalue()
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    answer.close()


def test_what_is_no_image_is_refused_at_the_field(browser, maths):
    page = browser.post(
        reverse("admin:content_node_change", args=[maths["unit"].pk]),
        {"title": "Unit", "image": SimpleUploadedFile("a.svg", b"<svg/>")},
    )
    assert "image" in page.context["adminform"].form.errors


@pytest.mark.parametrize(
    "path",
    [
        "images/none.png",
        "images/",
        "",
        "images/../photos/sara.png",
        "images/%2e%2e/photos/sara.png",
        "images/..%2f..%2fdb.sqlite3",
        "images/%00",
        "images/" + "x" * 5000,
    ],
)
def test_nothing_else_is_served(client, picture, path):
    picture("photos/sara.png")
    assert client.get(f"/media/{path}").status_code == 404


def test_large_files_are_taken_from_staff(browser, django_assert_num_queries):
    with django_assert_num_queries(2):  # the session, the user
        assert browser.get(reverse("may-send")).status_code == 204


def test_large_files_are_not_taken_from_a_stranger_and_that_costs_nothing(
    client, django_assert_num_queries
):
    with django_assert_num_queries(0):
        assert client.get(reverse("may-send")).status_code == 401


def test_large_files_are_not_taken_from_a_student_or_from_who_has_left(
    client_of, superuser
):
    student = User.objects.create_user("sara@example.org", "student-password-1")
    assert client_of(student).get(reverse("may-send")).status_code == 401
    browser = client_of(superuser)
    User.objects.filter(pk=superuser.pk).update(is_active=False)
    assert browser.get(reverse("may-send")).status_code == 401


# --- Every form that takes a picture ----------------------------------------------


def at_content(browser, world, file):
    page = browser.post(
        reverse("admin:content_node_change", args=[world["unit"].pk]),
        {"title": "Unit", "image": file},
    )
    return page.status_code == 302


def at_the_player(browser, world, file):
    page = browser.post(
        reverse("admin:players_playerprofile_change", args=[world["player"].pk]),
        {
            "photo": file,
            **{
                f"{prefix}-{name}_FORMS": count
                for prefix, rows in {
                    "devices": 0,
                    "session": 0,
                    "enrollments": 0,
                    "entitlements": 0,
                    "wallet": 1,
                }.items()
                for name, count in (("TOTAL", rows), ("INITIAL", rows))
            },
            "active_plan": "",
        },
    )
    return page.status_code == 302


def at_the_stage(browser, _world, file):
    return (
        browser.post(reverse("admin:upload_image"), {"file": file}).status_code == 200
    )


DOORS = [at_content, at_the_player, at_the_stage]


@pytest.fixture
def doors_world(maths, player):
    player.enrollments.all().delete()
    player.active_plan = None
    player.save()
    return {"unit": maths["unit"], "player": player}


def stored(settings) -> list[bytes]:
    return [path.read_bytes() for path in settings.MEDIA_ROOT.rglob("*.*")]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "data",
    [EPS, PDF, SVG, encoded("BMP"), encoded("PNG")[:-40], bomb()],
    ids=["eps", "pdf", "svg", "bmp", "truncated", "bomb"],
)
def test_what_is_not_what_it_claims_is_refused_at_every_door(
    browser, doors_world, settings, door, data
):
    assert not door(browser, doors_world, SimpleUploadedFile("a.png", data))
    assert stored(settings) == []


@pytest.mark.parametrize("door", DOORS)
def test_every_door_stores_pixels_and_nothing_else(
    browser, doors_world, settings, door
):
    data = encoded("JPEG", exif=exif()) + PDF
    assert door(browser, doors_world, SimpleUploadedFile("a.png", data))
    (kept,) = stored(settings)
    assert b"SECRET" not in kept
    assert b"%PDF" not in kept
    assert [path.suffix for path in settings.MEDIA_ROOT.rglob("*.*")] == [".jpg"]
