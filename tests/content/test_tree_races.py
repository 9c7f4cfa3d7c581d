"""Concurrent editors on a database that runs them in parallel.

Concurrent writers corrupt a django-mptt tree; the locks of `content.services`
prevent it. SQLite admits one writer at a time, so these tests are meaningful only
on MariaDB.
"""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, OperationalError, connection

from content import locks, services, undo
from content.copying import copy_node
from content.curriculum import export_curriculum, import_curriculum
from content.integrity import find_faults
from content.kinds import Kind
from content.models import LessonStage, Node, SubjectState
from core.db import is_conflict
from core.errors import StructureError
from tests.factories.content import make_branch, make_stage, move_node

pytestmark = [
    pytest.mark.mariadb,
    pytest.mark.django_db(transaction=True),
]

THREADS = 8
STEPS = 25
SUBJECTS = 3
ROUNDS = 10
"""Rounds in which eight editors without locks may happen to do no damage."""


def urgent(*works):
    """Run each of ``works`` in its own thread and connection, started together."""
    barrier = threading.Barrier(len(works))

    def run(work):
        try:
            barrier.wait(timeout=30)
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(run, w) for w in works]]


def random_of(chance, **wanted):
    return chance.choice(list(Node.objects.filter(**wanted)) or [None])


def edit_at_random(seed):
    """Move, add, copy and delete at random; a refusal is a valid outcome."""
    chance = random.Random(seed)
    for step in range(STEPS):
        try:
            one_edit(chance, f"{seed}.{step}")
        except StructureError:
            continue
        except OperationalError as error:
            # Saving a node that is moved at the same moment may be the loser of a race.
            if not is_conflict(error):
                raise


def one_edit(chance, title):
    lesson = random_of(chance, kind="lesson")
    topic = random_of(chance, kind="topic")
    unit = random_of(chance, kind="unit")
    subject = random_of(chance, kind="subject")
    if not (topic and unit and subject):
        add_branch(title)
        return
    match chance.randrange(20):
        case 0:
            services.create_node(kind=Kind.LESSON, parent=topic, title=title)
        case 1 if lesson:
            move_node(node=lesson, target=topic, position="first-child")
        case 2 if lesson:
            beside = random_of(chance, kind="lesson")
            move_node(node=lesson, target=beside, position="right")
        case 3 if lesson:
            services.delete_nodes(nodes=some_of(chance, kind="lesson"))
        case 4:
            move_node(node=topic, target=unit, position="last-child")
        case 5:
            children = list(topic.get_children())
            chance.shuffle(children)
            services.move_nodes(nodes=children, target=topic, position="first-child")
        case 6 if lesson:
            rename(lesson, title)
        case 7:
            Node.objects.filter(parent=topic).update(description=title)
        case 8 if lesson:
            add_stage(lesson)
        case 9:
            LessonStage.objects.filter(lesson__parent=topic).update(weight=2)
        case 10:
            copy_node(node=chance.choice([lesson, topic]) or topic)
        case 11 if lesson:
            copy_node(node=lesson, parent=topic)
        case 12 if lesson:
            _moved, record = undo.move(
                nodes=some_of(chance, kind="lesson"),
                target=topic,
                position=chance.choice(["first-child", "last-child"]),
            )
            undo.undo(record)
        case 13 if lesson:
            services.create_node(
                kind=Kind.LESSON,
                title=title,
                beside=(lesson, chance.choice(["left", "right"])),
            )
        case 14:
            trashed = services.trash_nodes(nodes=some_of(chance, kind="lesson"))
            if trashed:
                services.restore_nodes(nodes=trashed)
        case 15:
            services.create_node(kind=Kind.SUBJECT, title=title)
        case 16:
            services.create_node(
                kind=Kind.SUBJECT, title=title, beside=(subject, "right")
            )
        case 17:
            copy_node(node=subject)
        case 18:
            if Node.objects.subjects().count() > SUBJECTS:
                services.delete_node(node=subject)
        case _:
            other = random_of(chance, kind="subject")
            move_node(node=subject, target=other, position="left")


def add_branch(title):
    """Add a node of each kind; `make_branch` is for one editor at a time."""
    parent = None
    for kind in Kind:
        parent = services.create_node(kind=kind, parent=parent, title=title)


def some_of(chance, **wanted):
    found = list(Node.objects.filter(**wanted)[:6])
    return chance.sample(found, chance.randint(1, len(found))) if found else []


def rename(lesson, title):
    """Save a lesson that may have been deleted meanwhile."""
    lesson.title = title
    try:
        lesson.save()
    except DatabaseError as error:
        if "did not affect any rows" not in str(error):
            raise


def add_stage(lesson):
    """Add a stage to a lesson that may have been deleted meanwhile."""
    with suppress(IntegrityError, ValidationError):
        make_stage(lesson)


def test_editors_at_once_leave_whole_trees():
    for name in range(SUBJECTS):
        make_branch(str(name), lessons=4)
    urgent(*(lambda seed=seed: edit_at_random(seed) for seed in range(THREADS)))
    assert find_faults() == []


def test_the_same_editors_without_the_locks_corrupt_the_trees(monkeypatch):
    """Show that the test before this one can fail."""
    monkeypatch.setattr(locks, "lock_roots", lambda: None)
    monkeypatch.setattr(
        locks,
        "lock_subjects",
        lambda pks: SubjectState.objects.in_bulk(list(set(pks))),
    )
    for name in range(SUBJECTS):
        make_branch(str(name), lessons=4)

    def edit(seed):
        # Errors caused by the corrupt tree are irrelevant here.
        with suppress(Exception):
            edit_at_random(seed)

    for turn in range(ROUNDS):
        seeds = range(THREADS * turn, THREADS * (turn + 1))
        urgent(*(lambda seed=seed: edit(seed) for seed in seeds))
        if find_faults():
            return
    pytest.fail("eight editors at once did no harm: the locks are not what is tested")


def test_lessons_added_at_once_each_get_a_bit_of_their_own():
    topic = make_branch().topic

    def add():
        for number in range(10):
            services.create_node(kind=Kind.LESSON, parent=topic, title=str(number))

    urgent(*[add] * THREADS)
    bits = Node.objects.filter(kind="lesson").values_list("bit_index", flat=True)
    assert sorted(bits) == list(range(10 * THREADS))
    assert SubjectState.objects.get().next_bit_index == 10 * THREADS
    assert find_faults() == []


def test_subjects_made_at_once_each_get_a_tree_of_their_own():
    def add(title: str) -> None:
        subject = services.create_node(kind=Kind.SUBJECT, title=title)
        track = services.create_node(kind=Kind.TRACK, parent=subject, title=title)
        services.create_node(kind=Kind.UNIT, parent=track, title=title)

    urgent(*(lambda n=n: add(str(n)) for n in range(THREADS)))
    assert Node.objects.filter(kind="subject").count() == THREADS
    assert find_faults() == []


def test_branches_that_swap_subjects_at_once_do_not_wait_for_each_other_for_ever():
    one, two = make_branch("A", lessons=2), make_branch("B", lessons=2)

    def swap(node, target):
        for _step in range(10):
            try:
                move_node(
                    node=Node.objects.get(pk=node.pk),
                    target=Node.objects.get(pk=target.pk),
                    position="last-child",
                )
            except StructureError:
                continue

    urgent(
        lambda: swap(one.topic, two.unit),
        lambda: swap(two.topic, one.unit),
        lambda: swap(one.topic, one.unit),
    )
    assert find_faults() == []


def test_an_import_and_an_editor_at_once_leave_a_whole_tree():
    branch = make_branch(lessons=5)
    data = export_curriculum(branch.subject.public_id)
    urgent(
        lambda: [import_curriculum(data) for _step in range(8)],
        lambda: edit_at_random(1),
        lambda: edit_at_random(2),
    )
    assert find_faults() == []


def test_an_id_two_editors_want_at_once_goes_to_one_of_them():
    one, two = make_branch("A"), make_branch("B")

    def add(topic):
        try:
            services.create_node(
                kind=Kind.LESSON, parent=topic, title="L", public_id="LES-SAME"
            )
        except ValidationError:
            return "refused"
        return "made"

    answers = urgent(lambda: add(one.topic), lambda: add(two.topic))
    assert sorted(answers) == ["made", "refused"]
    assert find_faults() == []
