"""Apps that are too old are refused, except for what they have kept offline."""

import pytest

from players.models import SecurityEvent
from tests.players.app import App

pytestmark = pytest.mark.django_db
EMAIL = "lina@school.example"
STORES = {
    "": "https://memora.example/app",
    "ios": "https://apps.example/ios",
    "android": "",
}


@pytest.fixture(autouse=True)
def minimum(settings):
    """Version 2.4.0 is the oldest one that is allowed."""
    settings.MIN_APP_VERSION = "2.4.0"
    settings.APP_STORE_URLS = STORES


def refusal(answer):
    return answer.status_code, answer.json()["error_code"]


@pytest.mark.parametrize(
    ("version", "store_url"),
    [
        ("2.3.9", STORES[""]),
        ("2.4.0-beta.1", STORES[""]),
        ("ios/1.2.3", STORES["ios"]),
        ("android/1.2.3", STORES[""]),
    ],
)
def test_an_old_app_is_told_where_to_get_a_new_one(signed_in, version, store_url):
    signed_in.version = version
    answer = signed_in.get("wallet/")
    assert refusal(answer) == (426, "APP_TOO_OLD")
    assert answer.json()["details"] == {
        "minimum_version": "2.4.0",
        "store_url": store_url,
    }


def test_without_a_store_there_is_no_address(signed_in, settings):
    settings.APP_STORE_URLS = {"": "", "ios": "", "android": ""}
    signed_in.version = "1.0.0"
    assert signed_in.get("wallet/").json()["details"]["store_url"] is None


@pytest.mark.parametrize(
    "version", ["2.4.0", "2.4.0+7", "ios/2.10.0", "android/3.0.0-rc.1", ""]
)
def test_a_new_app_and_an_unknown_one_are_allowed(signed_in, version):
    signed_in.version = version
    assert signed_in.get("wallet/").status_code == 200


def test_without_a_minimum_every_version_is_allowed(signed_in, settings):
    settings.MIN_APP_VERSION = ""
    signed_in.version = "0.0.1"
    assert signed_in.get("wallet/").status_code == 200


@pytest.mark.parametrize(
    "version", ["2.4", "v2.4.0", "web/2.4.0", "ios/", "iOS/2.4.0", "2.4.0 ", "٢.٤.٠"]
)
def test_a_malformed_version_is_refused(signed_in, version):
    signed_in.version = version.encode().decode("latin-1")
    answer = signed_in.get("wallet/")
    assert refusal(answer) == (400, "INVALID_BODY")
    assert list(answer.json()["details"]["fields"]) == ["X-App-Version"]


def test_an_old_app_does_not_sign_in(student):
    app = App(version="2.3.9")
    assert refusal(app.sign_in(EMAIL)) == (426, "APP_TOO_OLD")


def test_an_old_app_does_not_reset_a_password(student):
    app = App(version="2.3.9")
    answer = app.post("auth/password-reset/", {"email": EMAIL})
    assert refusal(answer) == (426, "APP_TOO_OLD")
    body = {"email": EMAIL, "code": "12345678", "new_password": "correct horse 8"}
    answer = app.post("auth/password-reset/confirm/", body)
    assert refusal(answer) == (426, "APP_TOO_OLD")


@pytest.mark.parametrize("version", ["1.0.0", "nonsense"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("lessons/LES-1/complete/", {"hearts": 5}),
        (
            "reviews/",
            {"reviews": [{"item_id": "Q-1", "lesson_id": "LES-1", "rating": 3}]},
        ),
    ],
)
def test_an_old_app_may_send_what_it_has_kept(signed_in, version, path, body):
    signed_in.version = version
    answer = signed_in.post(path, body)
    assert refusal(answer) == (503, "NOT_PUBLISHED_YET")  # the service has decided


def test_other_requests_for_lessons_and_reviews_need_a_new_app(signed_in):
    signed_in.version = "1.0.0"
    assert signed_in.get("reviews/").status_code == 426
    assert signed_in.get("progress/SUBJ-1/").status_code == 426


def test_the_refusal_costs_nothing(signed_in, round_trips, django_assert_num_queries):
    signed_in.version = "1.0.0"
    events = SecurityEvent.objects.count()
    with django_assert_num_queries(0):
        assert signed_in.get("wallet/").status_code == 426
    assert not round_trips
    assert SecurityEvent.objects.count() == events


def test_staff_need_no_app(manager, as_staff):
    answer = as_staff(manager).get(
        "/api/v1/admin/publishing/queue/", headers={"X-App-Version": "1.0.0"}
    )
    assert answer.status_code == 200
