"""The staff API for students: creating, changing, enrolling and giving products."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from content import products
from plans.models import AcademicPlan, Grade
from players.models import (
    Enrollment,
    Entitlement,
    PlayerProfile,
    SecurityEvent,
    StaffRequest,
    StudyGroup,
    User,
)
from players.services import retention, student_import
from tests.players.app import PASSWORD

pytestmark = pytest.mark.django_db

PLAYERS = "/api/v1/admin/players/"
BULK = f"{PLAYERS}bulk/"
ACCESS = f"{PLAYERS}access/"
HUDA = {
    "school_number": "S-1",
    "email": "Huda@School.example",
    "name": "Huda",
    "phone": "+964 770 123",
    "grade": "Grade 5",
    "groups": ["5 A"],
    "plans": ["PLAN-5"],
    "products": [{"code": "MATHS-5", "valid_until": "2027-06-30T21:00:00Z"}],
}


@pytest.fixture
def grade(db):
    return Grade.objects.create(title="Grade 5")


@pytest.fixture
def other_plan(db):
    return AcademicPlan.objects.create(
        title="Grade 6", public_id="PLAN-6", is_published=True
    )


@pytest.fixture
def post(manager, as_staff):
    """Return a function that posts JSON as a System Manager."""
    client = as_staff(manager)

    def send(url, body, key=None, by=client):
        headers = {} if key is None else {"Idempotency-Key": key}
        return by.post(url, body, format="json", headers=headers)

    return send


def results(answer):
    assert answer.status_code == 200, answer.content
    return [one["result"] for one in answer.json()["results"]]


def refusal(answer):
    return answer.status_code, answer.json()["error_code"]


# --- Creating and changing ------------------------------------------------------


def test_one_student_is_created_with_everything_and_signs_in(
    post, plan, grade, app, manager, settings, django_capture_on_commit_callbacks
):
    settings.PASSWORD_HASHERS = ["players.hashers.Argon2idHasher"]
    with django_capture_on_commit_callbacks(execute=True):
        answer = post(PLAYERS, {"player": HUDA, "generate_password": True})
    assert answer.status_code == 201
    player = PlayerProfile.objects.get(school_number="S-1")
    made = answer.json()
    assert made["player_id"] == player.pk
    assert (player.user.email, player.user.full_name) == ("huda@school.example", "Huda")
    assert (player.phone, player.grade, player.active_plan) == (
        "+964770123",
        grade,
        plan,
    )
    assert StudyGroup.objects.get(memberships__player=player).name == "5 A"
    held = Entitlement.objects.get(player=player)
    assert (held.item, str(held.valid_until)) == (
        "MATHS-5",
        "2027-06-30 21:00:00+00:00",
    )
    assert app.sign_in("huda@school.example", made["password"]).status_code == 200
    event = SecurityEvent.objects.get(type="player_created")
    assert (event.user_id, event.actor_id) == (player.user_id, manager.pk)


def test_a_student_who_exists_is_not_created_again(post, student):
    answer = post(PLAYERS, {"player": {"email": "LINA@school.example"}})
    assert refusal(answer) == (409, "PLAYER_EXISTS")
    assert answer.json()["details"] == {"player_id": student.pk}


def test_what_a_new_student_cannot_have_is_told_by_field(post, grade):
    answer = post(
        PLAYERS,
        {
            "player": {
                "email": "no address",
                "name": "H" * 151,
                "plans": ["PLAN-9"],
                "products": [{"code": "no spaces"}],
            }
        },
    )
    assert refusal(answer) == (400, "INVALID_BODY")
    assert answer.json()["details"]["fields"].keys() == {
        *("email", "name", "plans", "products")
    }
    assert not PlayerProfile.objects.exists()


def test_many_are_created_changed_or_left_and_one_bad_element_spoils_nothing(
    post, plan, grade, student
):
    answer = post(
        BULK,
        {
            "players": [
                HUDA,
                {"email": "lina@school.example", "name": "Lina Kamal"},
                {"email": "lina2@school.example", "grade": "Grade 12"},
                {"school_number": "S-1"},
                {"name": "Nobody"},
            ],
            "generate_passwords": True,
        },
    )
    assert results(answer) == ["created", "updated", *["rejected"] * 3]
    made, changed, *rejected = answer.json()["results"]
    huda = PlayerProfile.objects.get(school_number="S-1")
    assert (made["player_id"], changed["player_id"]) == (huda.pk, student.pk)
    assert made["password"]
    assert changed["password"] is None
    assert made["error"] is None
    assert [one["error"]["error_code"] for one in rejected] == ["INVALID_BODY"] * 3
    assert [*rejected[0]["error"]["details"]["fields"]] == ["grade"]
    repeated = rejected[1]["error"]["details"]["fields"]["school_number"]
    assert repeated == ["Element 0 is about the same student."]
    student.user.refresh_from_db()
    assert student.user.full_name == "Lina Kamal"
    assert PlayerProfile.objects.count() == 2
    again = post(BULK, {"players": [HUDA], "generate_passwords": True})
    assert results(again) == ["unchanged"]
    assert again.json()["results"][0]["password"] is None


def test_a_dry_run_tells_and_changes_nothing(post, plan, grade, student):
    body = {"players": [HUDA, {"email": "lina@school.example", "name": "L"}]}
    answer = post(BULK, body | {"dry_run": True, "generate_passwords": True})
    assert results(answer) == ["created", "updated"]
    assert answer.json()["results"][0]["password"] is None
    assert PlayerProfile.objects.count() == 1
    assert not StudyGroup.objects.exists()


def test_a_body_that_does_not_fit_the_schema_is_refused_as_a_whole(post, settings):
    answer = post(BULK, {"players": [{"email": "a@b.example"}, {"email": 7}]})
    assert refusal(answer) == (400, "INVALID_BODY")
    assert [*answer.json()["details"]["fields"]] == ["players[1].email"]
    many = [{"email": f"s{n}@b.example"} for n in range(settings.STAFF_BULK_LIMIT + 1)]
    assert refusal(post(BULK, {"players": many})) == (400, "INVALID_BODY")
    assert refusal(post(BULK, {"players": []})) == (400, "INVALID_BODY")
    assert not PlayerProfile.objects.exists()


def test_students_whom_another_request_creates_meanwhile_spoil_nothing(
    post, monkeypatch
):
    apply = student_import.apply
    calls = []

    def collide(outcomes, hashed):
        calls.append(len(outcomes))
        if any(one.account.get("email") == "b@b.example" for one in outcomes):
            raise IntegrityError
        apply(outcomes, hashed)

    monkeypatch.setattr(student_import, "apply", collide)
    body = {"players": [{"email": f"{name}@b.example"} for name in "abc"]}
    answer = post(BULK, body)
    assert results(answer) == ["created", "rejected", "created"]
    assert calls == [3, 1, 1, 1]


def test_200_students_cost_as_many_queries_as_two(post, plan, grade):
    def queries(first, count):
        body = {
            "players": [
                HUDA | {"school_number": f"S-{n}", "email": f"s{n}@b.example"}
                for n in range(first, first + count)
            ],
            "generate_passwords": True,
        }
        with CaptureQueriesContext(connection) as captured:
            assert set(results(post(BULK, body))) == {"created"}
        return len(captured)

    queries(0, 1)  # creates the group
    # SQLite takes fewer than 999 values in a statement.
    assert queries(100, 50) == queries(10, 2) <= 70


# --- Plans and products -----------------------------------------------------------


def test_support_enrols_a_student_and_takes_plans_and_products(
    student, plan, other_plan, support, as_staff, post
):
    url = f"{PLAYERS}{student.pk}/access/"
    client = as_staff(support)
    body = {
        "enroll": ["PLAN-6"],
        "unenroll": ["PLAN-5"],
        "grant": [{"code": "MATHS-5", "valid_until": "2027-06-30T21:00:00Z"}],
    }
    assert post(url, body, by=client).json() == {"result": "updated"}
    student.refresh_from_db()
    assert student.active_plan == other_plan
    assert [row.plan for row in Enrollment.objects.all()] == [other_plan]
    assert post(url, body, by=client).json() == {"result": "unchanged"}
    assert post(url, {"revoke": ["MATHS-5"]}, by=client).json() == {"result": "updated"}
    assert not Entitlement.objects.exists()
    types = SecurityEvent.objects.filter(actor=support).values_list("type", flat=True)
    assert {
        *("enrollment_added", "enrollment_removed", "plan_activated"),
        *("entitlement_added", "entitlement_removed"),
    } <= set(types)


def test_a_student_who_leaves_the_only_plan_has_no_active_one(post, student, plan):
    post(f"{PLAYERS}{student.pk}/access/", {"unenroll": ["PLAN-5"]})
    student.refresh_from_db()
    assert student.active_plan is None


def test_a_product_is_extended_and_never_shortened(post, student):
    url = f"{PLAYERS}{student.pk}/access/"

    def grant(until):
        grants = [{"code": "ART", "valid_until": until}]
        return post(url, {"grant": grants}).json()["result"]

    found = [grant(f"{year}-01-01T00:00:00Z") for year in (2027, 2026, 2028)]
    assert [*found, grant(None), grant("2028-01-01T00:00:00Z")] == [
        *("updated", "unchanged", "updated", "updated", "unchanged")
    ]


def test_what_cannot_be_changed_is_refused_and_nothing_is_done(post, student, plan):
    url = f"{PLAYERS}{student.pk}/access/"
    answer = post(
        url,
        {
            "enroll": ["PLAN-9"],
            "grant": [{"code": "ART"}, {"code": "no spaces"}],
            "revoke": ["ART"],
        },
    )
    assert refusal(answer) == (400, "INVALID_BODY")
    assert answer.json()["details"]["fields"].keys() == {"enroll", "grant", "revoke"}
    assert not Entitlement.objects.exists()
    missing = post(f"{PLAYERS}{student.pk + 1}/access/", {"revoke": ["ART"]})
    assert refusal(missing) == (404, "NOT_FOUND")


def test_many_are_changed_by_number_e_mail_or_id(post, student, plan, other_plan):
    post(BULK, {"players": [HUDA | {"grade": ""}]})
    answer = post(
        ACCESS,
        {
            "changes": [
                {"player": {"school_number": "S-1"}, "change": {"enroll": ["PLAN-6"]}},
                {
                    "player": {"email": "LINA@school.example"},
                    "change": {"grant": [{"code": "ART"}]},
                },
                {"player": {"player_id": student.pk}, "change": {"revoke": ["ART"]}},
                {"player": {"school_number": "S-9"}, "change": {}},
                {"player": {}, "change": {}},
            ]
        },
    )
    assert results(answer) == ["updated", "updated", *["rejected"] * 3]
    codes = [one["error"]["error_code"] for one in answer.json()["results"][2:]]
    assert codes == ["INVALID_BODY", "NOT_FOUND", "INVALID_BODY"]
    assert Enrollment.objects.filter(plan=other_plan).count() == 1
    assert Entitlement.objects.filter(player=student, item="ART").exists()


def test_a_dry_run_of_access_changes_nothing(post, student, other_plan):
    change = {"player": {"player_id": student.pk}, "change": {"enroll": ["PLAN-6"]}}
    answer = post(ACCESS, {"changes": [change], "dry_run": True})
    assert results(answer) == ["updated"]
    assert not Enrollment.objects.filter(plan=other_plan).exists()


def test_200_changes_cost_as_many_queries_as_two(post, plan, other_plan):
    products.ensure(["ART"])
    made = [{"email": f"s{n}@b.example", "plans": ["PLAN-5"]} for n in range(62)]
    assert set(results(post(BULK, {"players": made}))) == {"created"}

    def queries(numbers):
        body = {
            "changes": [
                {
                    "player": {"email": f"s{n}@b.example"},
                    "change": {
                        "enroll": ["PLAN-6"],
                        "unenroll": ["PLAN-5"],
                        "grant": [{"code": "ART"}],
                    },
                }
                for n in numbers
            ]
        }
        with CaptureQueriesContext(connection) as captured:
            assert set(results(post(ACCESS, body))) == {"updated"}
        return len(captured)

    assert queries(range(2, 62)) == queries(range(2)) <= 70


# --- Idempotency-Key ----------------------------------------------------------------


def test_a_repeat_with_the_same_key_gets_the_first_answer_without_the_password(post):
    body = {"players": [{"email": "a@b.example"}], "generate_passwords": True}
    first = post(BULK, body, key="one")
    password = first.json()["results"][0]["password"]
    User.objects.filter(email="a@b.example").update(email="other@b.example")
    again = post(BULK, body, key="one")
    assert again.status_code == 200
    expected = first.json()["results"][0] | {"password": None}
    assert again.json() == {"results": [expected]}
    assert PlayerProfile.objects.count() == 1
    assert password not in str(StaffRequest.objects.values())


def test_a_repeated_creation_is_answered_with_its_status(post):
    body = {"player": {"email": "a@b.example"}, "generate_password": True}
    first = post(PLAYERS, body, key="one")
    again = post(PLAYERS, body, key="one")
    assert first.status_code == again.status_code == 201
    assert again.json() == first.json() | {"password": None}


def test_a_key_with_another_body_or_address_is_a_conflict(post, student):
    post(BULK, {"players": [{"email": "a@b.example"}]}, key="one")
    other = post(BULK, {"players": [{"email": "b@b.example"}]}, key="one")
    assert refusal(other) == (409, "IDEMPOTENCY_CONFLICT")
    url = f"{PLAYERS}{student.pk}/access/"
    assert refusal(post(url, {}, key="one")) == (409, "IDEMPOTENCY_CONFLICT")
    assert not User.objects.filter(email="b@b.example").exists()


def test_each_member_of_staff_has_their_own_keys(post, superuser_client):
    body = {"players": [{"email": "a@b.example"}]}
    assert results(post(BULK, body, key="one")) == ["created"]
    assert results(post(BULK, body, key="one", by=superuser_client)) == ["unchanged"]


@pytest.fixture
def superuser_client(db, as_staff):
    return as_staff(User.objects.create_superuser("root@school.example", PASSWORD))


def test_a_refused_request_leaves_its_key_free(post, student, plan):
    body = {"player": {"email": "lina@school.example"}}
    assert post(PLAYERS, body, key="one").status_code == 409
    student.user.email = "lina2@school.example"
    student.user.save(update_fields=["email"])
    assert post(PLAYERS, body, key="one").status_code == 201


def test_a_key_must_be_printable(post):
    answer = post(BULK, {"players": [{"email": "a@b.example"}]}, key="\t")
    assert refusal(answer) == (400, "INVALID_BODY")


def test_xp_that_is_given_again_with_the_same_key_is_given_once(post, student):
    url = f"/api/v1/admin/wallets/{student.pk}/xp/"
    body = {"xp": 5, "reason": "Olympiad"}
    first = post(url, body, key="one")
    assert post(url, body, key="one").json() == first.json()
    assert SecurityEvent.objects.filter(type="wallet_corrected").count() == 1


def test_keys_are_forgotten_after_a_day(post, as_staff, manager):
    body = {"players": [{"email": "a@b.example"}]}
    post(BULK, body, key="one")
    retention.apply(now=timezone.now())
    assert StaffRequest.objects.count() == 1
    retention.apply(now=timezone.now() + timedelta(days=1, seconds=1))
    assert not StaffRequest.objects.exists()
    # The session of the admin has expired, too.
    answer = post(BULK, body, key="one", by=as_staff(manager))
    assert results(answer) == ["unchanged"]


# --- Who may ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "writes", "changes"),
    [
        ("Content Editors", False, False),
        ("Publishers", False, False),
        ("Support", False, True),
        ("System Managers", True, True),
    ],
)
def test_each_role_may_what_it_may_in_the_admin(
    role, writes, changes, student, as_staff, post
):
    user = User.objects.create_user("staff@school.example", PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = as_staff(user)
    for url, body, may in (
        (PLAYERS, {"player": {"email": "a@b.example"}}, writes),
        (BULK, {"players": [{"email": "b@b.example"}]}, writes),
        (f"{PLAYERS}{student.pk}/access/", {"grant": [{"code": "ART"}]}, changes),
        (ACCESS, {"changes": [{"player": {"email": "x"}, "change": {}}]}, changes),
    ):
        answer = post(url, body, by=client)
        assert (answer.status_code != 403) is may, (url, answer.content)


def test_one_missing_permission_is_enough_to_be_refused(student, as_staff, post):
    user = User.objects.create_user("staff@school.example", PASSWORD, is_staff=True)
    names = ("add_enrollment", "delete_enrollment", "add_entitlement")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    answer = post(f"{PLAYERS}{student.pk}/access/", {}, by=as_staff(user))
    assert refusal(answer) == (403, "PERMISSION_DENIED")
