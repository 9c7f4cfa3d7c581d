"""The demo school: complete, publishable, and the same after every run."""

import json
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from content.curriculum import export_curriculum, import_curriculum
from content.integrity import find_faults
from content.kinds import Kind
from content.models import LessonStage, Node
from content.stage_types import SCHEMAS
from memora_site import demo_school
from plans.models import AcademicPlan, PlanOverride
from players.models import PlayerProfile, User
from progress.models import InteractionLog
from publishing import published_content


@pytest.fixture(autouse=True)
def _private_videos(settings, tmp_path):
    settings.VIDEO_ROOT = tmp_path / "videos"
    settings.EMBEDDED_REDIS = False  # the suite has its own


def seed() -> str:
    out = StringIO()
    call_command("seed_demo", stdout=out)
    return out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_the_demo_school_is_made_published_and_has_a_past():
    output = seed()
    assert demo_school.PASSWORD in output
    assert find_faults() == []
    for plan in demo_school.PLANS:
        assert set(published_content.load_plan(plan.id).subjects) == set(
            demo_school.SUBJECTS
        )
    sara = PlayerProfile.objects.get(user__email=demo_school.STUDENT_EMAIL)
    assert sara.interactions.count() == 5
    assert (Path(demo_school.settings.VIDEO_ROOT) / demo_school.VIDEO).is_file()


@pytest.mark.django_db(transaction=True)
def test_the_two_plans_differ_by_their_overrides():
    seed()
    school = published_content.load_plan("PLAN-DEMO-SCHOOL").lessons
    home = published_content.load_plan("PLAN-DEMO-HOME").lessons
    assert set(home) - set(school) == {"LES-DEMO-MATH-13", "LES-DEMO-MATH-14"}
    assert school["LES-DEMO-PHYS-11"].access_level == "free_preview"
    assert home["LES-DEMO-PHYS-11"].required_item == "DEMO-PHYSICS-ENERGY"
    assert home["LES-DEMO-PHYS-06"].required_item == "DEMO-PHYSICS-FORCES"
    assert school["LES-DEMO-PHYS-06"].access_level == "public" or not (
        school["LES-DEMO-PHYS-06"].required_item
    )


@pytest.mark.django_db(transaction=True)
def test_a_second_run_changes_nothing():
    seed()
    counts = [
        model.objects.count()
        for model in (
            Node,
            LessonStage,
            AcademicPlan,
            PlanOverride,
            User,
            InteractionLog,
        )
    ]
    revisions = list(AcademicPlan.objects.values_list("revision", flat=True))
    output = seed()
    assert "Made" not in output
    assert "Published" not in output
    assert revisions == list(AcademicPlan.objects.values_list("revision", flat=True))
    assert counts == [
        model.objects.count()
        for model in (
            Node,
            LessonStage,
            AcademicPlan,
            PlanOverride,
            User,
            InteractionLog,
        )
    ]


@pytest.mark.django_db(transaction=True)
def test_what_was_changed_in_the_demo_stays_changed():
    seed()
    Node.objects.filter(public_id="LES-DEMO-MATH-01").update(title="Changed")
    User.objects.filter(email="editor@demo.memora").update(full_name="Changed")
    seed()
    assert Node.objects.get(public_id="LES-DEMO-MATH-01").title == "Changed"
    assert User.objects.get(email="editor@demo.memora").full_name == "Changed"


@pytest.mark.django_db(transaction=True)
def test_an_app_can_sign_in_as_any_student_that_the_demo_names(client):
    seed()
    output = dict(demo_school.accounts())
    students = [found.email for found in demo_school.STUDENTS]
    assert demo_school.STORY_EMAIL in students
    assert demo_school.STORY_EMAIL not in output
    for email in students:
        if email == demo_school.STORY_EMAIL:
            continue
        assert output[email].endswith("devices: 0 of 2")
        answer = client.post(
            "/api/v1/auth/login/",
            {"email": email, "password": demo_school.PASSWORD},
            content_type="application/json",
            headers={"X-Device-ID": str(uuid4())},
        )
        assert answer.status_code == 200, answer.content
    assert dict(demo_school.accounts())[students[0]].endswith("devices: 1 of 2")


@pytest.mark.django_db(transaction=True)
def test_everybody_the_demo_names_can_sign_in_as_what_it_says():
    seed()
    for email, _who in demo_school.accounts():
        assert User.objects.get(email=email).check_password(demo_school.PASSWORD)
    for person in demo_school.STAFF:
        user = User.objects.get(email=person.email)
        assert user.is_staff
        assert user.is_superuser is (person.role == "")
        assert [group.name for group in user.groups.all()] == (
            [person.role] if person.role else []
        )


@pytest.mark.django_db
def test_production_refuses_the_demo(settings):
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="production"):
        seed()
    assert not Node.objects.exists()
    assert not User.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("file", demo_school.SUBJECTS.values())
def test_a_demo_curriculum_is_valid_and_shows_what_there_is(file, settings, tmp_path):
    settings.VIDEO_ROOT = tmp_path
    (tmp_path / demo_school.VIDEO).parent.mkdir()
    (tmp_path / demo_school.VIDEO).write_bytes(b"video")
    data = (demo_school.FOLDER / file).read_bytes()
    report = import_curriculum(data)
    lessons = Node.objects.filter(kind=Kind.LESSON)
    assert 10 <= lessons.count() <= 20
    assert set(LessonStage.objects.values_list("type", flat=True)) == set(SCHEMAS)
    assert lessons.filter(is_free_preview=True).count() == 1
    assert Node.objects.exclude(required_item="").count() == 1
    assert Node.objects.filter(is_linear=True).exists()
    again = import_curriculum(export_curriculum(report.subject_id))
    assert (again.nodes.created, again.nodes.updated) == (0, 0)
    assert (again.stages.created, again.stages.updated) == (0, 0)


@pytest.mark.parametrize("file", demo_school.SUBJECTS.values())
def test_a_demo_curriculum_names_everything_it_holds(file):
    subject = json.loads((demo_school.FOLDER / file).read_text())["subject"]

    def walk(node):
        yield node
        for key in ("tracks", "units", "topics", "lessons", "stages"):
            for child in node.get(key, ()):
                yield from walk(child)

    ids = [node["id"] for node in walk(subject)]
    assert len(ids) == len(set(ids))


def test_the_demo_s_video_is_small_and_a_video():
    data = (demo_school.FOLDER / demo_school.VIDEO.name).read_bytes()
    assert data[4:8] == b"ftyp"
    assert len(data) < 60_000
