"""The JSON of a player's progress in a subject, joined from prebuilt bytes.

No Django imports. `progress.unlock` has the rules of one node; this module applies them
to all nodes of a subject at once:

1. Each lesson gets a code of its state, one byte. Sets of lessons are integers, so the
   codes of a whole subject need a few additions, whatever its size.
2. The codes of the lessons below a container decide its JSON, so it is kept under them:
   for a topic always, for a larger container while no lesson below is passed. Most of
   an answer is copied in large pieces.
3. A topic with other codes joins the prebuilt JSON of its lessons.

``tests/progress`` compares the result with a naive implementation.
"""

from collections.abc import Iterator
from operator import getitem
from typing import NamedTuple

import orjson

from progress.unlock import (
    LockedReason,
    NodeState,
    OutlineNode,
    PlayerOutline,
    Status,
    StructureOutline,
)

_KEPT_CHUNKS = 8
"""How many chunks a container keeps; this limits a renderer's memory."""

# --- Codes of a lesson's state ----------------------------------------------

_LOCKED, _NOT_ENTITLED, _UNLOCKED = range(3)
_PASSED = 8
"""Added to the hearts."""
_HEARTS = 7
"""The bits of the hearts. There are at most 5; more are shown as 5."""
_UNENTITLED = 16
"""Added for a passed lesson that the player is not entitled to."""
_CLOSED = 32
"""Added for the lessons of a container that is not open."""

_PASSED_CODES = bytes(code for code in range(2 * _CLOSED) if code & _PASSED)
_PASSED_OVER_CODES = bytes([_NOT_ENTITLED, _NOT_ENTITLED | _CLOSED])
_UNENTITLED_CODES = _PASSED_OVER_CODES + bytes(
    code for code in _PASSED_CODES if code & _UNENTITLED
)
_TO_CLOSED = bytes(
    (_LOCKED if code == _UNLOCKED else code) | _CLOSED for code in range(256)
)

# --- How nodes are shown ----------------------------------------------------

_LOCKED_STATE = NodeState(Status.LOCKED, LockedReason.PREVIOUS)
_NOT_ENTITLED_STATE = NodeState(Status.LOCKED, LockedReason.NOT_ENTITLED)
_UNLOCKED_STATE = NodeState(Status.UNLOCKED)
_PASSED_STATE = NodeState(Status.PASSED)
_STATES = (_LOCKED_STATE, _NOT_ENTITLED_STATE, _UNLOCKED_STATE, _PASSED_STATE)

_VARIANTS = (
    (_LOCKED_STATE, 0),
    (_NOT_ENTITLED_STATE, 0),
    (_UNLOCKED_STATE, 0),
    *((_PASSED_STATE, hearts) for hearts in range(6)),
)
"""All states of a lesson with its hearts."""


def _variant(code: int) -> int:
    """Return the index in ``_VARIANTS`` of a code."""
    if code & _PASSED:
        return 3 + min(code & _HEARTS, 5)
    return min(code & _HEARTS, _UNLOCKED)


_TO_VARIANT = bytes(_variant(code) for code in range(256))


# --- Prebuilt JSON ----------------------------------------------------------


_Chunk = tuple[bytes, bool | None, bool, bool]
"""A container's JSON, and what its parent needs of it: ``lets_through``, whether the
next child of a linear parent is open (None if this one is passed over), ``is_passed``,
and ``is_entitled``, whether the player is entitled to any lesson."""


class _Container:
    """A container with its JSON up to its children, by state, and its kept chunks."""

    __slots__ = ("chunks", "end", "heads", "is_linear", "span", "start")

    def __init__(self, node: OutlineNode, *, is_first: bool) -> None:
        comma = b"" if is_first else b","
        self.heads = {
            state: comma + _before_children(node, state, None) for state in _STATES
        }
        self.is_linear = node.is_linear
        self.start, self.end = node.start, node.end
        self.span = slice(node.start, node.end)
        self.chunks: dict[bytes, _Chunk] = {}

    def head(self, *, is_passed: bool, is_entitled: bool, is_open: bool) -> bytes:
        """Return the JSON before the children; see `PlayerOutline.state`."""
        if is_passed:
            return self.heads[_PASSED_STATE]
        if not is_entitled:
            return self.heads[_NOT_ENTITLED_STATE]
        return self.heads[_UNLOCKED_STATE if is_open else _LOCKED_STATE]

    def keep(self, codes: bytes, chunk: _Chunk) -> None:
        """Keep the chunk for the codes of the lessons below."""
        if len(self.chunks) >= _KEPT_CHUNKS:
            self.chunks.clear()
        self.chunks[codes] = chunk


class _Topic(_Container):
    """A container of lessons, or of nothing."""

    __slots__ = ("_lessons", "_nodes")

    def __init__(self, node: OutlineNode, *, is_first: bool) -> None:
        super().__init__(node, is_first=is_first)
        self._nodes = node.children
        self._lessons: list[tuple[bytes, ...]] | None = None

    @property
    def lessons(self) -> list[tuple[bytes, ...]]:
        """The JSON of each lesson in each of ``_VARIANTS``, made when first needed."""
        if self._lessons is None:
            self._lessons = [
                tuple(
                    _before_children(node, state, hearts) + b"]}"
                    for state, hearts in _VARIANTS
                )
                for node in self._nodes
            ]
        return self._lessons

    def make(self, codes: bytes, *, is_open: bool) -> _Chunk:
        """Make and keep the chunk for the codes of the lessons."""
        is_passed = not codes.translate(None, _PASSED_CODES)
        is_entitled = bool(codes.translate(None, _UNENTITLED_CODES))
        is_available = bool(codes.translate(None, _PASSED_OVER_CODES))
        is_done = not codes.translate(None, _PASSED_CODES + _PASSED_OVER_CODES)
        head = self.head(is_passed=is_passed, is_entitled=is_entitled, is_open=is_open)
        lessons = map(getitem, self.lessons, codes.translate(_TO_VARIANT))
        json = b"%b%b]}" % (head, b",".join(lessons))
        chunk = json, is_done if is_available else None, is_passed, is_entitled
        self.keep(codes, chunk)
        return chunk


class _Branch(_Container):
    """A container of containers."""

    __slots__ = ("children",)

    def __init__(self, node: OutlineNode, *, is_first: bool) -> None:
        super().__init__(node, is_first=is_first)
        self.children = [
            _container(child, is_first=child is node.children[0])
            for child in node.children
        ]


def _with_descendants(container: _Topic | _Branch) -> Iterator[_Topic | _Branch]:
    yield container
    if isinstance(container, _Branch):
        for child in container.children:
            yield from _with_descendants(child)


def _container(node: OutlineNode, *, is_first: bool) -> _Topic | _Branch:
    has_lessons = all(child.bit_index is not None for child in node.children)
    return (_Topic if has_lessons else _Branch)(node, is_first=is_first)


def _before_children(node: OutlineNode, state: NodeState, hearts: int | None) -> bytes:
    fields = {
        "id": node.id,
        "type": node.kind,
        "status": state.status,
        "locked_reason": state.locked_reason,
        "bit_index": node.bit_index,
        "best_hearts": hearts,
    }
    return orjson.dumps(fields)[:-1] + b',"children":['


# --- Rendering --------------------------------------------------------------


class SubjectRenderer:
    """Renders the progress of any player in one subject of one release.

    The lessons of the subject are in containers of nothing but lessons, as in published
    trees. Threads may share a renderer. Its memory is limited by the number of lessons.
    """

    def __init__(self, outline: StructureOutline) -> None:
        self.outline = outline
        self._prefix = b'{"subject_id":%b,"root":' % orjson.dumps(outline.root.id)
        self._root = _container(outline.root, is_first=True)
        if not outline.total_lessons:  # a subject without lessons is not passed
            self._root.heads[_PASSED_STATE] = self._root.heads[_UNLOCKED_STATE]
        self.containers = list(_with_descendants(self._root))
        self._coder = _Coder(outline, self.containers)

    def render(self, player: PlayerOutline, *, hearts: bytes, xp: int) -> bytes:
        """Return the answer as JSON in UTF-8.

        Args:
            player: an outline of ``self.outline``.
            hearts: the player's best hearts by bit; only those of passed lessons count.
            xp: the XP earned in the subject.
        """
        sums = {
            "completion_percentage": player.percentage,
            "total_xp_earned": xp,
            "suggested_next_lesson_id": player.next_lesson(),
            "total_lessons": self.outline.total_lessons,
            "entitled_lessons": player.entitled_lessons,
            "passed_lessons": player.passed_lessons,
        }
        writer = _Writer(self._coder.codes(player, hearts))
        writer.pieces.append(self._prefix)
        writer.write(self._root)
        writer.pieces += (b",", orjson.dumps(sums)[1:])
        return b"".join(writer.pieces)


class _Codes(NamedTuple):
    """One byte for each lesson in tree order: its code in an open or closed topic.

    ``passed`` has the digit 1 for each passed lesson, the last lesson first.
    """

    in_open: bytes
    in_closed: bytes
    passed: str


class _Coder:
    """Gives all lessons of a subject their codes."""

    def __init__(
        self, outline: StructureOutline, containers: list[_Topic | _Branch]
    ) -> None:
        self._outline = outline
        self._count = outline.total_lessons
        self._all = (1 << self._count) - 1
        self._zeros = int.from_bytes(b"0" * self._count, "big")
        # Two neighbouring topics are in different masks.
        self._linear = [0, 0]
        self._first_lessons = 0
        topics = [one for one in containers if isinstance(one, _Topic)]
        with_lessons = [one for one in topics if one.start != one.end]
        for number, topic in enumerate(with_lessons):
            if topic.is_linear:
                self._linear[number % 2] |= (1 << topic.end) - (1 << topic.start)
                self._first_lessons |= 1 << topic.start
        self._not_linear = self._all ^ self._linear[0] ^ self._linear[1]

    def codes(self, player: PlayerOutline, hearts: bytes) -> _Codes:
        """Return the lessons' codes of a player with these hearts by bit."""
        if not self._count:
            return _Codes(b"", b"", "")
        digits = format(player.passed, f"0{self._count}b")
        passed = self._spread(digits)
        in_order = int.from_bytes(self._outline.in_tree_order(hearts), "little")
        codes = (in_order & passed * _HEARTS) + passed * _PASSED
        codes += self._spread_set(self._open_lessons(player)) * _UNLOCKED
        available = player.passed | player.entitled
        if available != self._all:
            codes += self._spread_set(self._all ^ available) * _NOT_ENTITLED
        if available != player.entitled:
            codes += self._spread_set(available ^ player.entitled) * _UNENTITLED
        in_open = codes.to_bytes(self._count, "little")
        return _Codes(in_open, in_open.translate(_TO_CLOSED), digits)

    def _spread_set(self, lessons: int) -> int:
        return self._spread(format(lessons, f"0{self._count}b"))

    def _spread(self, digits: str) -> int:
        """Return a number with a byte, 0 or 1, for each of the digits."""
        return int.from_bytes(digits.encode(), "big") ^ self._zeros

    def _open_lessons(self, player: PlayerOutline) -> int:
        """Return the lessons to do that are unlocked if their topic is.

        In a linear topic they follow a passed lesson or are the first; the lessons in
        between are passed over. Adding 1 at the first of those that are passed over
        carries to the lesson after them.
        """
        starts = self._first_lessons | player.passed << 1
        passed_over = self._all & ~(player.passed | player.entitled)
        found = self._not_linear
        for topics in self._linear:
            # A carry out of a topic ends in the next one, which is not among these.
            found |= ((starts & topics) + (passed_over & topics)) & topics
        return found & player.todo


class _Writer:
    """Writes the containers of one answer as pieces of JSON."""

    def __init__(self, codes: _Codes) -> None:
        self.pieces: list[bytes] = []
        self._in_open, self._in_closed, self._passed = codes

    def write(self, container: _Topic | _Branch) -> None:
        """Write an open container."""
        if isinstance(container, _Branch):
            self._write_branch(container, is_open=True)
        else:
            codes = self._in_open[container.span]
            self.pieces.append(container.make(codes, is_open=True)[0])

    def _write_branch(self, branch: _Branch, *, is_open: bool) -> _Chunk:
        """Write a branch and return its chunk without the JSON."""
        pieces, in_open, in_closed = self.pieces, self._in_open, self._in_closed
        head = len(pieces)
        pieces.append(b"")  # known after the children
        is_passed, is_entitled, is_available, is_done = True, False, False, True
        opens = is_open
        for child in branch.children:
            if isinstance(child, _Topic) or self._is_untouched(child):
                codes = (in_open if opens else in_closed)[child.span]
                chunk = child.chunks.get(codes)
                if chunk is None:
                    chunk = self._make(child, codes, is_open=opens)
            else:
                chunk = self._write_branch(child, is_open=opens)
            json, lets_through, child_is_passed, child_is_entitled = chunk
            pieces.append(json)
            if not child_is_passed:
                is_passed = False
            if child_is_entitled:
                is_entitled = True
            if lets_through is not None:
                is_available = True
                if not lets_through:
                    is_done = False
                if branch.is_linear:
                    opens = is_open and lets_through
        pieces.append(b"]}")
        pieces[head] = branch.head(
            is_passed=is_passed, is_entitled=is_entitled, is_open=is_open
        )
        return b"", is_done if is_available else None, is_passed, is_entitled

    def _is_untouched(self, branch: _Branch) -> bool:
        """Return whether no lesson of a branch is passed."""
        count = len(self._in_open)
        return self._passed.rfind("1", count - branch.end, count - branch.start) < 0

    def _make(
        self, container: _Topic | _Branch, codes: bytes, *, is_open: bool
    ) -> _Chunk:
        """Make and keep the chunk of a topic or of an untouched branch."""
        if isinstance(container, _Topic):
            return container.make(codes, is_open=is_open)
        start = len(self.pieces)
        _json, lets_through, is_passed, is_entitled = self._write_branch(
            container, is_open=is_open
        )
        json = b"".join(self.pieces[start:])
        del self.pieces[start:]
        chunk = json, lets_through, is_passed, is_entitled
        container.keep(codes, chunk)
        return chunk
