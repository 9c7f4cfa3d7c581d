"""The demo school: two subjects, two different plans, staff, students with a history.

Objects are created only if they are missing, so changes made in the demo stay. After an
interrupted run the next one creates the rest.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from content import products
from content.curriculum import import_curriculum
from content.models import Node
from plans.models import AcademicPlan, Grade, OverrideAction, Season, Stream
from plans.services import add_subject, set_override
from players import roles
from players.models import DEVICE_SLOTS, Entitlement, PlayerProfile, User
from players.services import accounts as player_accounts
from progress.services import completion
from publishing.building import builds
from publishing.models import SyncStatus

PASSWORD = "learn-every-day"  # noqa: S105 - printed on purpose: it opens the demo only
STUDENT_EMAIL = "sara@demo.memora"
STORY_EMAIL = "nour@demo.memora"
"""The student whose steps the demo runs. The other students have no device yet."""
DEVICE_ID = UUID("6f1f7c0e-5a3b-4c6e-9d2f-0d6b5e1a7c42")
"""The device of that student, the same in every run: a player has at most two."""

FOLDER = settings.BASE_DIR / "content" / "demo"
SUBJECTS = {
    "SUBJ-DEMO-MATH": "math-fractions.curriculum.json",
    "SUBJ-DEMO-PHYSICS": "physics-motion.curriculum.json",
}
VIDEO = Path("demo") / "moving-shapes.mp4"


class DemoError(Exception):
    """The demo school could not be created; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class _Plan:
    id: str
    title: str
    grade: str
    stream: str
    overrides: tuple[tuple[str, OverrideAction, str], ...]
    """``(node id, action, value)``."""


SEASON = "2026–2027"
TIME_ZONE = "Asia/Amman"
"""That of the students, which ends the days of their streaks."""
PLANS = (
    _Plan(
        id="PLAN-DEMO-SCHOOL",
        title="الصف الخامس: المدرسة",
        grade="الصف الخامس",
        stream="عام",
        overrides=(
            ("UNIT-DEMO-MATH-04", OverrideAction.HIDE, ""),
            ("LES-DEMO-PHYS-11", OverrideAction.SET_FREE, ""),
            ("TRK-DEMO-MATH-01", OverrideAction.RENAME, "الفصل الأول: الكسور"),
        ),
    ),
    _Plan(
        id="PLAN-DEMO-HOME",
        title="الصف السادس: التعلّم المنزلي",
        grade="الصف السادس",
        stream="علمي",
        overrides=(
            (
                "UNIT-DEMO-PHYS-02",
                OverrideAction.SET_SOLD_SEPARATELY,
                "DEMO-PHYSICS-FORCES",
            ),
            ("UNIT-DEMO-PHYS-01", OverrideAction.SET_LINEAR, "true"),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class _Student:
    email: str
    name: str
    plan: str
    items: tuple[str, ...] = ()
    history: tuple[tuple[int, str, int], ...] = ()
    """``(days ago, lesson id, hearts)``, oldest first."""


STUDENTS = (
    _Student(
        email=STUDENT_EMAIL,
        name="سارة العلي",
        plan="PLAN-DEMO-SCHOOL",
        items=("DEMO-MATH-PLUS",),
        history=(
            (3, "LES-DEMO-MATH-01", 4),
            (2, "LES-DEMO-MATH-02", 5),
            (2, "LES-DEMO-MATH-01", 5),
            (1, "LES-DEMO-PHYS-01", 3),
            (1, "LES-DEMO-MATH-03", 4),
        ),
    ),
    _Student(
        email="omar@demo.memora",
        name="عمر حسن",
        plan="PLAN-DEMO-HOME",
        items=("DEMO-PHYSICS-FORCES",),
        history=(
            (9, "LES-DEMO-PHYS-01", 5),
            (8, "LES-DEMO-PHYS-02", 5),
            (5, "LES-DEMO-PHYS-03", 2),
            (5, "LES-DEMO-MATH-01", 3),
        ),
    ),
    _Student(email="lina@demo.memora", name="Lina Haddad", plan="PLAN-DEMO-SCHOOL"),
    _Student(email=STORY_EMAIL, name="نور سالم", plan="PLAN-DEMO-SCHOOL"),
)


@dataclass(frozen=True, slots=True)
class _Staff:
    email: str
    name: str
    role: str
    """The group's name; "" for the superuser."""


STAFF = (
    _Staff("admin@demo.memora", "Demo Admin", ""),
    _Staff("manager@demo.memora", "Demo Manager", roles.SYSTEM_MANAGERS),
    _Staff("editor@demo.memora", "Demo Editor", roles.CONTENT_EDITORS),
    _Staff("publisher@demo.memora", "Demo Publisher", roles.PUBLISHERS),
    _Staff("support@demo.memora", "Demo Support", roles.SUPPORT),
)
_ROLE_TEXTS = {
    "": gettext_lazy("superuser, has all permissions in the admin"),
    roles.SYSTEM_MANAGERS: gettext_lazy("admin: system manager"),
    roles.CONTENT_EDITORS: gettext_lazy("admin: content editor"),
    roles.PUBLISHERS: gettext_lazy("admin: publisher"),
    roles.SUPPORT: gettext_lazy("admin: support"),
}


def accounts() -> list[tuple[str, str]]:
    """Return the accounts that use `PASSWORD`: e-mail and a short description.

    For a student the description has the number of devices in use: an app can sign in
    as a student without devices, or on the student's device. One query.
    """
    titles = {plan.id: plan.title for plan in PLANS}
    staff = [(person.email, str(_ROLE_TEXTS[person.role])) for person in STAFF]
    device_counts = dict(
        PlayerProfile.objects.filter(user__email__in=[s.email for s in STUDENTS])
        .values_list("user__email")
        .annotate(count=Count("devices"))
    )
    students = [
        (
            student.email,
            _("student in “%(plan)s”, devices: %(taken)d of %(most)d")
            % {
                "plan": titles[student.plan],
                "taken": device_counts.get(student.email, 0),
                "most": len(DEVICE_SLOTS),
            },
        )
        for student in STUDENTS
        if student.email != STORY_EMAIL
    ]
    return staff + students


def seed(*, now: datetime | None = None) -> Iterator[str]:
    """Create what is missing of the school; yield a sentence for each step.

    Needs the database, Redis and the disk.

    Raises:
        DemoError: this is production, or a plan could not be published.
    """
    if settings.PRODUCTION:
        raise DemoError(
            _(
                "The demo school must not be created in production: its passwords are "
                "public."
            )
        )
    now = now or timezone.now()
    yield from _videos()
    yield from _subjects()
    yield from _plans()
    yield from _staff()
    yield from _students()
    yield from _published()
    yield from _history(now)


def _videos() -> Iterator[str]:
    target = Path(settings.VIDEO_ROOT) / VIDEO
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FOLDER / VIDEO.name, target)
        yield _("Copied the demo's video to %(path)s.") % {"path": target}


def _subjects() -> Iterator[str]:
    for subject_id, file in SUBJECTS.items():
        if Node.objects.filter(public_id=subject_id).exists():
            continue
        report = import_curriculum((FOLDER / file).read_bytes())
        yield _("Imported “%(title)s”: %(nodes)d nodes, %(stages)d stages.") % {
            "title": report.title,
            "nodes": report.nodes.created,
            "stages": report.stages.created,
        }


@transaction.atomic
def _make_plan(spec: _Plan) -> AcademicPlan:
    plan = AcademicPlan.objects.create(
        public_id=spec.id,
        title=spec.title,
        season=Season.objects.get_or_create(title=SEASON)[0],
        grade=Grade.objects.get_or_create(title=spec.grade)[0],
        stream=Stream.objects.get_or_create(title=spec.stream)[0],
        is_published=True,
    )
    for subject_id in SUBJECTS:
        add_subject(plan=plan, subject=Node.objects.get(public_id=subject_id))
    for node_id, action, value in spec.overrides:
        target = Node.objects.get(public_id=node_id)
        if action == OverrideAction.SET_SOLD_SEPARATELY:
            products.ensure([value])
        set_override(plan=plan, target=target, action=action, value=value)
    return plan


def _plans() -> Iterator[str]:
    for spec in PLANS:
        if AcademicPlan.objects.filter(public_id=spec.id).exists():
            continue
        plan = _make_plan(spec)
        yield _("Created the plan “%(title)s”.") % {"title": plan.title}


def _staff() -> Iterator[str]:
    for person in STAFF:
        if User.objects.filter(email=person.email).exists():
            continue
        with transaction.atomic():
            _make_staff(person)
        yield _("Created %(email)s: %(who)s.") % {
            "email": person.email,
            "who": _ROLE_TEXTS[person.role],
        }


def _make_staff(person: _Staff) -> None:
    if not person.role:
        User.objects.create_superuser(person.email, PASSWORD, full_name=person.name)
        return
    user = User.objects.create_user(
        person.email, PASSWORD, full_name=person.name, is_staff=True
    )
    user.groups.add(Group.objects.get(name=person.role))


def _students() -> Iterator[str]:
    for student in STUDENTS:
        if User.objects.filter(email=student.email).exists():
            continue
        with transaction.atomic():
            _make_student(student)
        yield _("Created the student %(email)s.") % {"email": student.email}


def _make_student(student: _Student) -> None:
    plan = AcademicPlan.objects.get(public_id=student.plan)
    player = player_accounts.create_player(
        student.email, PASSWORD, full_name=student.name, grade=plan.grade, plan=plan
    )
    player.time_zone = TIME_ZONE
    player.save(update_fields=["time_zone"])
    for item in student.items:
        Entitlement.objects.create(player=player, item=item)


def _published() -> Iterator[str]:
    for plan in AcademicPlan.objects.filter(
        public_id__in=[spec.id for spec in PLANS], is_published=True
    ):
        entry = builds.publish_plan(plan.pk, trigger="demo")
        if entry is None:  # nothing has changed since its release
            continue
        if entry.status not in (SyncStatus.SUCCESS, SyncStatus.LOCAL_ONLY):
            raise DemoError(
                _("The plan “%(plan)s” could not be published: %(error)s")
                % {"plan": plan.title, "error": entry.error}
            )
        yield _("Published “%(plan)s”: %(files)d files written.") % {
            "plan": plan.title,
            "files": entry.files_written,
        }


def _history(now: datetime) -> Iterator[str]:
    """Complete lessons for students who have not completed any yet."""
    for student in STUDENTS:
        player = PlayerProfile.objects.filter(user__email=student.email).first()
        if player is None or not student.history or player.interactions.exists():
            continue
        for number, (days_ago, lesson_id, hearts) in enumerate(student.history):
            completion.complete(
                player_id=player.pk,
                lesson_id=lesson_id,
                hearts=hearts,
                idempotency_key=f"demo-{number}",
                now=now - timedelta(days=days_ago, minutes=-number),
            )
        yield _("Recorded lessons of %(email)s on earlier days: %(count)d.") % {
            "email": student.email,
            "count": len(student.history),
        }
