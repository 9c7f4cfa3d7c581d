"""Read from Moodle the grades that have changed, and store them.

The watermark is a time of Moodle's clock: that of the newest change that was read. So the
clocks of both servers may differ. A grade may become visible some seconds after the time
that it has: each run asks again for the last `OVERLAP` seconds, and leaves out what it
has seen. The watermark moves only when everything up to it is stored; a run that is
killed, or that Moodle does not answer, is repeated from there. What is stored already
then changes nothing, so no grade is sent twice.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from registrar.grades import rules
from registrar.grades.rules import Criterion
from registrar.models import GradePoll, MoodleGrade, SchoolClass
from registrar.moodle import assignments, rubrics, scales
from registrar.moodle.assignments import Assignment, Attempt, Change
from registrar.moodle.client import MoodleClient
from registrar.peers.errors import PeerError, PeerRefusedError

log = structlog.get_logger(__name__)

OVERLAP = 300
"""Seconds before the watermark that each run asks for again."""
BATCH = 50
"""Students that are read between two moves of the watermark."""
LEASE = timedelta(minutes=10)
"""How long a run has the watermark after each batch; longer than a batch takes."""
MOST_IDS = 2000
"""Courses or assignments of one call (`client.MAX_PARAMETERS`)."""
_GONE = {
    *("invaliduser", "userdeleted", "invalidrecord", "invalidcoursemodule"),
    "nopermission",
}
"""Refusals of Moodle that say: this student or assignment was deleted, or the student is
no longer in the course. Moodle still lists the grades."""
_KEY = 1


def poll(client: MoodleClient) -> int:
    """Store the grades that have changed since the last run; return how many students.

    While another run reads, nothing is done. A run takes three calls for up to 2,000
    assignments, two more if some of them are new, two for each assignment with a change,
    and one for each student with a change.

    Raises:
        PeerError: Moodle does not answer or refuses; the next run repeats the rest.
    """
    run = _Run.begin()
    if run is None:
        return 0
    began = timezone.now()
    try:
        count = run.read(client)
    except PeerError as error:
        run.end(last_error=error.message)
        raise
    run.end(last_error="", polled_at=began)
    return count


class _Run:
    """A run that has claimed the watermark."""

    def __init__(self, state: GradePoll) -> None:
        self._state = state
        self._seen: dict[str, tuple[int, str]] = {
            key: (time, mark) for key, (time, mark) in state.seen.items()
        }

    @classmethod
    def begin(cls) -> "_Run | None":
        """Claim the watermark; None if another run has it. A claim expires."""
        now = timezone.now()
        GradePoll.objects.get_or_create(pk=_KEY)
        claim = uuid.uuid4().hex
        is_free = Q(claimed_until=None) | Q(claimed_until__lte=now)
        rows = GradePoll.objects.filter(is_free, pk=_KEY)
        if not rows.update(claim=claim, claimed_until=now + LEASE):
            return None
        return cls(GradePoll.objects.get(pk=_KEY))

    def end(self, **values: object) -> None:
        """Give the watermark back."""
        GradePoll.objects.filter(pk=_KEY, claim=self._state.claim).update(
            claim="", claimed_until=None, **values
        )

    def read(self, client: MoodleClient) -> int:
        """Read and store what has changed; return the number of students."""
        found = {one.id: one for one in _assignments(client)}
        watched = set(self._state.assignment_ids) & found.keys()
        since = max(0, self._state.since - OVERLAP)
        # Both lists are read before the work on them, so that the watermark, which is
        # moved to the newest change of both, leaves out nothing that comes later.
        changed = _changed(client, sorted(watched), since=since)
        fresh = _changed(client, sorted(found.keys() - watched), since=0)
        newest = max((one.time for one in (*changed, *fresh)), default=0)
        reader = _Reader(client, found)
        todo = [one for one in changed if not self._was_seen(one)]
        for part in _batches(sorted(todo, key=lambda one: one.time)):
            for one in part:
                reader.read(one)
                self._remember(one)
            if not self._move(since=part[-1].time, watched=watched):
                return len(todo)
        of_fresh: dict[int, list[Change]] = {key: [] for key in found.keys() - watched}
        for one in fresh:
            of_fresh[one.assignment_id].append(one)
        for assignment_id, changes in of_fresh.items():
            for one in changes:
                reader.read(one)
                self._remember(one)
            watched.add(assignment_id)
            if changes and not self._move(since=newest, watched=watched):
                break
        self._move(since=newest, watched=watched)
        return len(todo) + len(fresh)

    def _was_seen(self, one: Change) -> bool:
        return self._seen.get(_text_of(one)) == (one.time, one.mark)

    def _remember(self, one: Change) -> None:
        self._seen[_text_of(one)] = (one.time, one.mark)

    def _move(self, *, since: int, watched: Iterable[int]) -> bool:
        """Move the watermark forward; False if the claim has expired and was taken."""
        state = self._state
        state.since = max(since, state.since)
        recent = state.since - OVERLAP
        self._seen = {key: one for key, one in self._seen.items() if one[0] >= recent}
        return bool(
            GradePoll.objects.filter(pk=_KEY, claim=state.claim).update(
                since=state.since,
                seen=self._seen,
                assignment_ids=sorted(watched),
                claimed_until=timezone.now() + LEASE,
            )
        )


class _Reader:
    """Reads all attempts of a student; a rubric and a scale once."""

    def __init__(self, client: MoodleClient, found: dict[int, Assignment]) -> None:
        self._client, self._assignments = client, found
        self._criteria: dict[int, dict[int, list[Criterion]]] = {}
        self._scales: dict[int, list[str]] = {}

    def read(self, change: Change) -> None:
        assignment = self._assignments[change.assignment_id]
        try:
            found = assignments.attempts(
                self._client, assignment_id=assignment.id, user_id=change.user_id
            )
            if not any(one.grade for one in found):
                return
            criteria = self._criteria_of(assignment)
            items = self._items_of(assignment)
        except PeerError as error:
            if error.reason not in _GONE:
                raise
            log.info("registrar_grade_gone", reason=error.reason)
            return
        for one in found:
            if one.grade is not None:
                store(
                    assignment=assignment,
                    user_id=change.user_id,
                    attempt=one,
                    criteria=criteria.get(one.grade.id, []),
                    items=items,
                )

    def _items_of(self, assignment: Assignment) -> list[str]:
        """Return the items of an assignment's scale; none without one.

        None, too, if the token may not read them, or the scale was deleted: then the
        number is sent.
        """
        key = assignment.scale_id
        if not key or not scales.offers_items(self._client):
            return []
        if key not in self._scales:
            try:
                self._scales[key] = scales.items(self._client, scale_id=key)
            except PeerRefusedError as error:
                log.info("registrar_scale_gone", reason=error.reason)
                self._scales[key] = []
        return self._scales[key]

    def _criteria_of(self, assignment: Assignment) -> dict[int, list[Criterion]]:
        """Return the criteria of all attempts at an assignment, by the id of a grade."""
        if assignment.id not in self._criteria:
            area = rubrics.area(self._client, cm_id=assignment.cm_id)
            chosen = (
                rubrics.fillings(self._client, definition_id=area.definition_id)
                if area.definition_id
                else []
            )
            self._criteria[assignment.id] = _by_grade(area.criteria, chosen)
        return self._criteria[assignment.id]


def _by_grade(
    criteria: Sequence[rubrics.Criterion], chosen: Iterable[rubrics.Filling]
) -> dict[int, list[Criterion]]:
    by_grade: dict[int, dict[int, rubrics.Filling]] = {}
    known = {one.id for one in criteria}
    for filling in chosen:
        if filling.criterion_id in known:
            by_grade.setdefault(filling.grade_id, {})[filling.criterion_id] = filling
    return {
        grade_id: [_criterion(one, fillings.get(one.id)) for one in criteria]
        for grade_id, fillings in by_grade.items()
    }


def _criterion(one: rubrics.Criterion, filling: rubrics.Filling | None) -> Criterion:
    levels = {level.id: level for level in one.levels}
    level = levels.get(filling.level_id) if filling else None
    highest = max((each.score for each in one.levels), default=0.0)
    return Criterion(
        code=one.short_name,
        title=one.description,
        is_achieved=level is not None and level.score == highest,
        definition=level.definition if level else "",
        feedback=filling.remark if filling else "",
    )


def store(
    *,
    assignment: Assignment,
    user_id: int,
    attempt: Attempt,
    criteria: Sequence[Criterion],
    items: Sequence[str] = (),
) -> bool:
    """Store the grade of an attempt; return whether Zoho needs it.

    A grade with the values that it has already gets no new version. Without ``criteria``
    it keeps those that it has: the rubric was replaced after the grading.

    Args:
        items: those of the assignment's scale.
    """
    grade = attempt.grade
    if grade is None:
        return False
    key = f"{assignment.course_id}-{assignment.id}-{user_id}-{attempt.number}"
    with transaction.atomic():
        row = MoodleGrade.objects.select_for_update().filter(composite_key=key).first()
        is_new = row is None
        if row is None:
            row = MoodleGrade(
                composite_key=key,
                course_id=assignment.course_id,
                assignment_id=assignment.id,
                user_id=user_id,
                attempt=attempt.number,
                version=0,
            )
        counting = criteria or [Criterion(**one) for one in row.criteria]
        documents = [one.document() for one in counting]
        found = rules.grade_of(
            value=grade.value,
            criteria=counting,
            attempt=attempt.number,
            is_submitted=attempt.status == "submitted",
            item=_item(items, grade.value),
        )
        if (row.grade, row.criteria) == (found, documents):
            return False
        row.grade, row.criteria = found, documents
        row.assignment_name = assignment.name[:255]
        row.graded_at = datetime.fromtimestamp(grade.modified, tz=UTC)
        row.changed_at = timezone.now()
        row.version += 1
        changed = ("grade", "criteria", "assignment_name", "graded_at")
        row.save(
            force_insert=is_new,
            update_fields=None if is_new else (*changed, "changed_at", "version"),
        )
    return True


def _item(items: Sequence[str], value: Decimal | None) -> str:
    """Return the item that a number stands for; one beyond the scale is its end."""
    if not items or value is None:
        return ""
    return items[min(max(int(value), 1), len(items)) - 1]


def _assignments(client: MoodleClient) -> Iterator[Assignment]:
    """Iterate over the assignments of the courses of all classes."""
    courses = SchoolClass.objects.filter(deleted_at=None).order_by("moodle_id")
    ids = [key for key in courses.values_list("moodle_id", flat=True) if key]
    for at in range(0, len(ids), MOST_IDS):
        yield from assignments.assignments(client, course_ids=ids[at : at + MOST_IDS])


def _changed(client: MoodleClient, ids: Sequence[int], *, since: int) -> list[Change]:
    found: list[Change] = []
    for at in range(0, len(ids), MOST_IDS):
        part = ids[at : at + MOST_IDS]
        found += assignments.changed(client, assignment_ids=part, since=since).values()
    return found


def _batches(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    for at in range(0, len(changes), BATCH):
        yield changes[at : at + BATCH]


def _text_of(one: Change) -> str:
    return f"{one.assignment_id}-{one.user_id}"
