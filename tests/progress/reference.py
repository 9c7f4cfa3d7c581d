"""A naive implementation of the unlocking rules, to compare with.

A player is ``done``, the bits that are set, and ``owned``, the product codes.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

State = tuple[str, str | None]
"""Status, and the reason of a locked node."""


@dataclass
class Lesson:
    bit_index: int
    access_level: str = "authenticated"
    required_item: str = ""


@dataclass
class Node:
    """A node of a published tree, as `progress.unlock` takes it."""

    id: str
    kind: str = "topic"
    is_linear: bool = False
    children: list["Node"] = field(default_factory=list)
    lesson: Lesson | None = None


def lesson(bit: int) -> Node:
    return Node(f"L{bit}", "lesson", lesson=Lesson(bit))


def paid(bit: int, item: str = "X") -> Node:
    return Node(f"L{bit}", "lesson", lesson=Lesson(bit, "paid", item))


def container(name: str, *children: Node, linear: bool = False) -> Node:
    return Node(name, "container", linear, list(children))


def lessons(node: Node) -> list[Node]:
    if node.lesson is not None:
        return [node]
    return [found for child in node.children for found in lessons(child)]


def is_entitled(node: Node, owned: set[str]) -> bool:
    """Whether the player is entitled to a lesson."""
    return node.lesson.access_level != "paid" or node.lesson.required_item in owned


def is_passed(node: Node, done: set[int]) -> bool:
    return all(found.lesson.bit_index in done for found in lessons(node))


def is_not_entitled(node: Node, done: set[int], owned: set[str]) -> bool:
    """Whether the player lacks a product for every lesson, and passed not all."""
    return not is_passed(node, done) and not any(
        is_entitled(found, owned) for found in lessons(node)
    )


def is_passed_over(node: Node, done: set[int], owned: set[str]) -> bool:
    return not any(
        is_entitled(found, owned) or is_passed(found, done) for found in lessons(node)
    )


def lets_through(node: Node, done: set[int], owned: set[str]) -> bool:
    return all(
        is_passed(found, done) for found in lessons(node) if is_entitled(found, owned)
    )


def states(
    node: Node,
    done: set[int],
    owned: set[str],
    *,
    is_open: bool = True,
    is_root: bool = True,
) -> dict[str, State]:
    """The state of every node, by id, in tree order."""
    if is_passed(node, done) and not (is_root and not lessons(node)):
        own: State = ("passed", None)
    elif is_not_entitled(node, done, owned):
        own = ("locked", "not_entitled")
    elif is_open:
        own = ("unlocked", None)
    else:
        own = ("locked", "previous")
    found = {node.id: own}
    opens = True
    for child in node.children:
        child_is_open = is_open and (opens or not node.is_linear)
        found |= states(child, done, owned, is_open=child_is_open, is_root=False)
        if not is_passed_over(child, done, owned):
            opens = lets_through(child, done, owned)
    return found


def next_lesson(node: Node, done: set[int], owned: set[str]) -> str | None:
    found = states(node, done, owned)
    for one in lessons(node):
        if found[one.id] == ("unlocked", None):
            return one.id
    return None


def parents(node: Node) -> dict[str, str]:
    found = {}
    for child in node.children:
        found[child.id] = node.id
        found |= parents(child)
    return found


def answer(node: Node, best: dict[int, int], owned: set[str], xp: int) -> dict:
    """The answer to a player with these best hearts by bit of the passed lessons."""
    done = set(best)
    found = states(node, done, owned)
    all_lessons = lessons(node)
    passed = [one for one in all_lessons if is_passed(one, done)]
    total = len(all_lessons)
    return {
        "subject_id": node.id,
        "root": tree(node, best, found),
        "completion_percentage": 10_000 * len(passed) // total / 100 if total else 0.0,
        "total_xp_earned": xp,
        "suggested_next_lesson_id": next_lesson(node, done, owned),
        "total_lessons": total,
        "entitled_lessons": sum(is_entitled(one, owned) for one in all_lessons),
        "passed_lessons": len(passed),
    }


def tree(node: Node, best: dict[int, int], found: dict[str, State]) -> dict:
    status, locked_reason = found[node.id]
    bit = None if node.lesson is None else node.lesson.bit_index
    return {
        "id": node.id,
        "type": node.kind,
        "status": status,
        "locked_reason": locked_reason,
        "bit_index": bit,
        "best_hearts": None if bit is None else best.get(bit, 0),
        "children": [tree(child, best, found) for child in node.children],
    }


def summary(
    node: Node, best: dict[int, int], owned: set[str], xp: int, last: tuple[str, str]
) -> dict:
    """The summary of a player whose last lesson in the subject, and its time, is known."""
    whole = answer(node, best, owned, xp)
    found = states(node, set(best), owned)
    units = [one for track in node.children for one in track.children]
    del whole["root"]
    return whole | {
        "status": found[node.id][0],
        "locked_reason": found[node.id][1],
        "last_lesson_id": last[0],
        "last_played_at": last[1],
        "units": [unit_summary(one, found, set(best), owned) for one in units],
    }


def unit_summary(
    unit: Node, found: dict[str, State], done: set[int], owned: set[str]
) -> dict:
    below = lessons(unit)
    return {
        "id": unit.id,
        "status": found[unit.id][0],
        "locked_reason": found[unit.id][1],
        "total_lessons": len(below),
        "entitled_lessons": sum(is_entitled(one, owned) for one in below),
        "passed_lessons": sum(is_passed(one, done) for one in below),
    }


def paid_sessions(
    times: list[datetime], *, gap: timedelta, most: int
) -> list[datetime]:
    """The times of the ratings that earn XP, of all ratings in their order.

    Days are those of UTC.
    """
    paid: list[datetime] = []
    for number, at in enumerate(times):
        begins = all(abs(at - other) >= gap for other in times[:number])
        if begins and [one.date() for one in paid].count(at.date()) < most:
            paid.append(at)
    return paid
