"""Uploaded files, as the embedded default serves them."""

from io import BytesIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image

from content.models import Node
from players.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def picture(settings):
    """Writes a small file below the uploads and gives its URL."""

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


def test_players_photos_are_for_staff(client, browser, picture):
    url = picture("photos/sara.png")
    assert client.get(url).status_code == 404
    seen = browser.get(url)
    assert b"".join(seen.streaming_content) == b"picture"
    seen.close()


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
