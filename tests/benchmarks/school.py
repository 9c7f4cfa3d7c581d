"""Plans and students for the benchmarks of the students' API.

Rows are inserted in bulk, past the signals and services that one student at a time goes
through; sessions, too. What a request changes is made by requests.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.api_load import Ask

PASSWORD = "correct horse 7"
ITEMS = 10
"""Reviewable items of each lesson that has any."""
XP = 33
"""Of each completion that `add_completions` adds."""


@dataclass(frozen=True, slots=True)
class Student:
    player_id: int
    email: str
    device_id: str
    token: str

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: str = "",
        more: Iterable[tuple[str, str]] = (),
    ) -> Ask:
        """A request as the app sends it: token, device, language."""
        headers = [
            ("Authorization", f"Bearer {self.token}"),
            ("X-Device-ID", self.device_id),
            ("Accept-Language", "ar"),
            *more,
        ]
        if body:
            headers.append(("Content-Type", "application/json"))
        return Ask(f"/api/v1/{path}", method, tuple(headers), body)

    def complete(self, lesson_id: str, hearts: int = 4) -> Ask:
        return self.ask(
            f"lessons/{lesson_id}/complete/",
            method="POST",
            body=f'{{"hearts":{hearts}}}',
        )

    def sign_in(self) -> Ask:
        return Ask(
            "/api/v1/auth/login/",
            "POST",
            (("X-Device-ID", self.device_id), ("Content-Type", "application/json")),
            f'{{"email":"{self.email}","password":"{PASSWORD}"}}',
        )


def lesson_id(size: int, number: int) -> str:
    return f"LES-{size}-{number}"


def subject_id(size: int) -> str:
    return f"SUBJ-{size}"


def publish_plan(size: int) -> Any:
    """Publish a plan of one subject with ``size`` lessons; every second has items."""
    import orjson

    from content.curriculum import import_curriculum
    from content.models import Node
    from plans.models import AcademicPlan
    from plans.services import add_subject
    from publishing.building import builds

    import_curriculum(orjson.dumps(_curriculum(size)))
    plan = AcademicPlan.objects.create(
        public_id=f"PLAN-{size}", title=f"{size} lessons", is_published=True
    )
    add_subject(plan=plan, subject=Node.objects.get(public_id=subject_id(size)))
    entry = builds.publish_plan(plan.pk, trigger="bench")
    assert entry is not None
    assert not entry.error, entry.error
    return plan


def _curriculum(size: int) -> dict[str, Any]:
    """Ten lessons a topic, ten topics a unit."""
    lessons = [
        {
            "id": lesson_id(size, number),
            "title": f"Lesson {number}",
            "stages": [_quiz(size, number) if number % 2 == 0 else _text(number)],
        }
        for number in range(size)
    ]
    topics = [
        {"id": f"TOP-{size}-{n}", "title": f"Topic {n}", "lessons": found}
        for n, found in enumerate(_tens(lessons))
    ]
    units = [
        {"id": f"UNIT-{size}-{n}", "title": f"Unit {n}", "topics": found}
        for n, found in enumerate(_tens(topics))
    ]
    track = {"id": f"TRK-{size}", "title": "Track", "units": units}
    return {
        "format": "memora-curriculum/1",
        "language": "ar",
        "subject": {"id": subject_id(size), "title": f"{size}", "tracks": [track]},
    }


def _tens(found: Sequence[Any]) -> list[Sequence[Any]]:
    return [found[start : start + 10] for start in range(0, len(found), 10)]


def _text(number: int) -> dict[str, Any]:
    config = {"format": "markdown", "body": f"Read lesson {number}."}
    return {"type": "Text", "title": "Read", "config": config}


def _quiz(size: int, number: int) -> dict[str, Any]:
    questions = [
        {
            "id": f"Q-{size}-{number}-{item}",
            "prompt": f"{item} + 1?",
            "options": [{"text": f"{item + 1}", "correct": True}, {"text": "0"}],
        }
        for item in range(ITEMS)
    ]
    return {"type": "Quiz", "title": "Ask", "config": {"questions": questions}}


def make_students(count: int, *, plan: Any, prefix: str = "s") -> list[Student]:
    """Add students who are enrolled in ``plan`` and signed in on their device."""
    from django.conf import settings
    from django.contrib.auth.hashers import make_password
    from django.db.models import QuerySet
    from django.utils import timezone

    from players import tokens
    from players.models import (
        Device,
        Enrollment,
        PlayerProfile,
        PlayerWallet,
        Session,
        User,
    )

    now = timezone.now()
    hashed = make_password(PASSWORD)
    emails = [f"{prefix}{number}@bench.example" for number in range(count)]

    def insert(model: Any, rows: Iterable[Any]) -> None:
        # A plain QuerySet: those of the models send signals for each row.
        QuerySet(model).bulk_create(rows, batch_size=1000)

    insert(
        User,
        [User(email=email, password=hashed, full_name="Student") for email in emails],
    )
    users = dict(User.objects.filter(email__in=emails).values_list("email", "pk"))
    insert(
        PlayerProfile,
        [
            PlayerProfile(
                user_id=users[email], active_plan=plan, first_signed_in_at=now
            )
            for email in emails
        ],
    )
    found = PlayerProfile.objects.filter(user__email__in=emails)
    players = dict(found.values_list("user__email", "pk"))
    made = []
    for email in emails:
        player_id = players[email]
        token = tokens.new(player_id, key=settings.SECRET_KEY)
        made.append(Student(player_id, email, str(uuid.uuid4()), token.text))
    ids = [student.player_id for student in made]
    insert(PlayerWallet, [PlayerWallet(player_id=pk) for pk in ids])
    insert(Enrollment, [Enrollment(player_id=pk, plan=plan) for pk in ids])
    insert(
        Device,
        [
            Device(player_id=one.player_id, slot=1, device_id=one.device_id)
            for one in made
        ],
    )
    devices = dict(
        Device.objects.filter(player_id__in=ids).values_list("player_id", "pk")
    )
    insert(
        Session,
        [
            Session(
                player_id=one.player_id,
                token_sha256=_sha256(one.token),
                device_id=devices[one.player_id],
                created_at=now,
                last_used_at=now,
            )
            for one in made
        ],
    )
    return made


def _sha256(text: str) -> str:
    from players import tokens

    token = tokens.parse(text)
    assert token is not None
    return token.sha256


def add_completions(
    student_ids: Sequence[int], lessons: Sequence[tuple[str, int]], subject: str
) -> None:
    """Add ledger rows: every student completes every lesson (its id and its bit)."""
    from django.db.models import QuerySet
    from django.utils import timezone

    from progress.models import InteractionLog, InteractionType

    now = timezone.now()

    def row(player_id: int, number: int, lesson: str, bit: int) -> InteractionLog:
        return InteractionLog(
            player_id=player_id,
            seq=number,
            event_id=uuid.uuid4().hex,
            type=InteractionType.LESSON_COMPLETED,
            reference_id=lesson,
            subject_id=subject,
            bit_index=bit,
            hearts=4,
            best_hearts=4,
            xp=XP,
            day=now.date(),
            first_of=lesson,
            occurred_at=now,
            received_at=now,
        )

    QuerySet(InteractionLog).bulk_create(
        [
            row(player_id, number, *lesson)
            for player_id in student_ids
            for number, lesson in enumerate(lessons, start=1)
        ],
        batch_size=1000,
    )


def copy_rows(model: Any, source: int, targets: Sequence[int]) -> None:
    """Give each player of ``targets`` a copy of the rows of the player ``source``."""
    from django.db import connection

    columns = [
        field.column
        for field in model._meta.concrete_fields
        if not field.primary_key and field.name != "player"
    ]
    listed = ", ".join(columns)
    table = model._meta.db_table
    with connection.cursor() as cursor:
        for target in targets:
            cursor.execute(
                f"INSERT INTO {table} (player_id, {listed}) "  # noqa: S608
                f"SELECT %s, {listed} FROM {table} WHERE player_id = %s",
                [target, source],
            )
