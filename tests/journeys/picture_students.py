"""The students of the school in the pictures: four classes, and what they did.

The import of students adds them. Their completions, sign-ins and refusals are rows with
times of the last days. The numbers are the same in every run.
"""

from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import time_machine

if TYPE_CHECKING:
    from players.models import PlayerProfile

FIRST = (
    *("أحمد", "سارة", "يوسف", "مريم", "علي", "فاطمة", "حسن", "زينب", "عمر", "ليلى"),
    *("محمود", "هدى", "خالد", "نور", "إبراهيم", "آمنة", "مصطفى", "رُقيّة", "Adam"),
)
LAST = (
    *("العلي", "حسن", "الجبوري", "كريم", "عبد الرحمن", "الخطيب", "ناصر", "Haddad"),
    *("الموسوي", "صالح", "التميمي", "درويش"),
)
CLASSES = {
    "الخامس أ": ("الصف الخامس", "PLAN-DEMO-SCHOOL"),
    "الخامس ب": ("الصف الخامس", "PLAN-DEMO-SCHOOL"),
    "السادس أ": ("الصف السادس", "PLAN-DEMO-HOME"),
    "السادس العلمي: المتفوقون في الرياضيات": ("الصف السادس", "PLAN-DEMO-HOME"),
}
STUDENTS = 120
TEACHER = "teacher@school.example"
SUBJECT = "SUBJ-DEMO-MATH"
LESSONS = tuple(f"LES-DEMO-MATH-{number:02}" for number in range(1, 13))
DEVICES = UUID("6f1f7c0e-5a3b-4c6e-9d2f-0d6b5e1a7c42")


def sheet(first: int = 0, count: int = STUDENTS) -> str:
    """Return students as a sheet for the import."""
    lines = ["الرقم المدرسي,البريد,الاسم,الصف,المجموعة,الخطة,الهاتف"]
    for number in range(first, first + count):
        name = f"{FIRST[number % len(FIRST)]} {LAST[number % len(LAST)]}"
        group = list(CLASSES)[number % len(CLASSES)]
        grade, plan = CLASSES[group]
        address = f"s{number + 1}@school.example"
        cells = (str(3000 + number), address, name, grade, group, plan)
        lines.append(",".join([*cells, f"+96477012{number:05}"]))
    return "\n".join(lines)


def add(*, owner_id: int, now: datetime) -> None:
    """Import the students, and add what they did until now."""
    from players import wallet_sync
    from players.models import PlayerProfile
    from players.services import import_runs
    from progress.services import lesson_counting, snapshots

    found = import_runs.preview(sheet().encode(), "students.csv", owner_id=owner_id)
    import_runs.confirm(found.run.pk, key=found.key, owner_id=owner_id)
    import_runs.run(found.run.pk, key=found.key, language="ar")
    players = PlayerProfile.objects.filter(user__email__endswith="@school.example")
    chance = Random(7)
    for player in players.order_by("pk"):
        _add_lessons(player.pk, chance, now)
        _add_events(player, chance, now)
    wallet_sync.sync_pending_wallets(force=True)
    snapshots.sync_pending(force=True)
    lesson_counting.sync_pending(force=True)
    _add_teacher()


def _add_teacher() -> None:
    """Add a teacher of the first class."""
    from django.contrib.auth.models import Group

    from memora_site.demo_school import PASSWORD
    from players.models import StudyGroup, User
    from players.roles import TEACHERS

    teacher = User.objects.create_user(
        TEACHER, PASSWORD, full_name="ليلى الخطيب", is_staff=True
    )
    teacher.groups.add(Group.objects.get(name=TEACHERS))
    StudyGroup.objects.get(name=next(iter(CLASSES))).teachers.add(teacher)


def _add_lessons(player_id: int, chance: Random, now: datetime) -> None:
    """Add completions, most of them after school; one of ten students has none."""
    from content.models import Node
    from progress.models import InteractionLog, InteractionType

    nodes = Node.objects.filter(public_id__in=LESSONS)
    bits = dict(nodes.values_list("public_id", "bit_index"))
    hours = sorted(_hours_ago(chance, now) for _lesson in range(chance.randrange(10)))
    times = [now - timedelta(hours=back) for back in reversed(hours)]
    InteractionLog.objects.bulk_create(
        InteractionLog(
            player_id=player_id,
            seq=seq,
            event_id=f"picture-{player_id}-{seq}",
            type=InteractionType.LESSON_COMPLETED,
            reference_id=lesson,
            subject_id=SUBJECT,
            bit_index=bits[lesson],
            hearts=3,
            best_hearts=3,
            xp=chance.choice((21, 33, 35, 350)),
            day=at.date(),
            first_of=lesson,
            occurred_at=at,
            received_at=at,
        )
        for seq, (lesson, at) in enumerate(zip(LESSONS, times, strict=False), start=1)
    )


def _hours_ago(chance: Random, now: datetime) -> float:
    days, hour = chance.choice((0, 0, 0, 1, 1, 2, 5)), chance.gauss(17, 3)
    back = days * 24 + (now.hour - hour) % 24 + chance.random()
    return round(back, 2)


def _add_events(player: "PlayerProfile", chance: Random, now: datetime) -> None:
    """Add refused sign-ins; one of fifteen students uses a third device."""
    from players import audit
    from players.models import SecurityEventType
    from players.services import devices

    refused: list[dict[str, Any]] = []
    if player.pk % 15 == 0:
        for name in ("Galaxy Tab A9", "هاتف الوالد"):
            device_id = uuid5(DEVICES, f"{player.pk} {name}")
            # Of version 4, as those of apps.
            device_id = UUID(bytes=device_id.bytes, version=4)
            devices.add(player_id=player.pk, device_id=device_id, name=name)
        third: dict[str, Any] = {
            "code": "DEVICE_NOT_AUTHORIZED",
            "device_name": "Redmi 12",
        }
        refused += [third] * chance.randrange(1, 4)
    elif player.pk % 4 == 0:
        refused += [{"code": "INVALID_CREDENTIALS"}]
    for details in refused:
        at = now - timedelta(hours=chance.uniform(0, 30))
        with time_machine.travel(at, tick=False):
            audit.record(
                SecurityEventType.REFUSED,
                user_id=player.user_id,
                ip_address=f"203.0.113.{player.pk % 250}",
                device_id=UUID(int=chance.getrandbits(128), version=4),
                **details,
            )
