"""A naive implementation of the unlocking rules, to compare with."""

from dataclasses import dataclass, field


@dataclass
class Lesson:
    bit_index: int


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


def container(name: str, *children: Node, linear: bool = False) -> Node:
    return Node(name, "container", linear, list(children))


def lessons(node: Node) -> list[Node]:
    if node.lesson is not None:
        return [node]
    return [found for child in node.children for found in lessons(child)]


def is_passed(node: Node, done: set[int]) -> bool:
    return all(found.lesson.bit_index in done for found in lessons(node))


def statuses(
    node: Node, done: set[int], *, is_open: bool = True, is_root: bool = True
) -> dict[str, str]:
    own = "passed" if is_passed(node, done) else "unlocked" if is_open else "locked"
    found = {node.id: own}
    if is_root and not lessons(node):
        found[node.id] = "unlocked"
    before = None
    for child in node.children:
        opens = not node.is_linear or before is None or is_passed(before, done)
        found |= statuses(child, done, is_open=is_open and opens, is_root=False)
        before = child
    return found


def next_lesson(node: Node, done: set[int]) -> str | None:
    status = statuses(node, done)
    for found in lessons(node):
        if status[found.id] == "unlocked":
            return found.id
    return None


def parents(node: Node) -> dict[str, str]:
    found = {}
    for child in node.children:
        found[child.id] = node.id
        found |= parents(child)
    return found
