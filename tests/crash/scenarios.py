"""What was published, what an editor did then, and what the killed process ran.

Every scenario starts from two plans that share one subject; plan B has a second
one. Both are published unless stated otherwise. Each function runs in its own child.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from content import services
from content.kinds import Kind
from content.models import LessonStage, Node
from plans.models import AcademicPlan, PlanOverride
from plans.services import add_subject, set_override
from publishing import staleness
from publishing.building import rollback, sweep
from publishing.models import SyncLog, SyncStatus
from publishing.storage import activation, cleanup, file_store
from tests.factories.content import make_subject, trash_node
from tests.publishing.conftest import node

A, B = "PLAN-A", "PLAN-B"


def nothing() -> None:
    """No edit, no interlude."""


def build_all() -> None:
    """Run the worker's builds until nothing is pending."""
    for _round in range(5):
        sweep.process_pending(limit=10)
        if not staleness.pending() and not staleness.to_withdraw():
            return


def work() -> None:
    """One turn of the worker: the process that is killed."""
    sweep.process_pending(limit=10)


def collect() -> None:
    """Clean up, as if every unfinished file were old."""
    file_store._STALE_SECONDS = -(10**9)
    cleanup.collect()


def plan(public_id: str) -> AcademicPlan:
    return AcademicPlan.objects.get(public_id=public_id)


def a_school() -> None:
    """Create two subjects; both plans have the first, plan B also the second."""
    shared, own = make_subject("MATH"), make_subject("ART", units=1, lessons=1)
    LessonStage.objects.create(
        public_id="STG-VIDEO",
        lesson=node("LES-MATH-0-0"),
        position=1,
        type="Video",
        title="Watch",
        config={"source": "unit-1/intro.mp4"},
    )
    # Public, so open in plan A; plan B overrides its level (`a_published_school`).
    Node.objects.filter(public_id="LES-MATH-1-0").update(is_public=True)
    for public_id, subjects in ((A, [shared]), (B, [shared, own])):
        made = AcademicPlan.objects.create(
            public_id=public_id, title=f"Title of {public_id}", is_published=True
        )
        for subject in subjects:
            add_subject(plan=made, subject=subject)


def a_published_school() -> None:
    a_school()
    set_override(
        plan=plan(B),
        target=node("LES-MATH-1-0"),
        action="set_access_level",
        value="authenticated",
    )
    build_all()


def one_plan() -> None:
    """Only plan A, published."""
    a_school()
    plan(B).delete()
    build_all()


def write_stage(lesson: str, body: str) -> None:
    stage = LessonStage.objects.get(public_id=lesson.replace("LES-", "STG-"))
    stage.config = {"format": "markdown", "body": body}
    stage.save()


def edit_lesson() -> None:
    write_stage("LES-MATH-0-1", "Another text")


def undo_edit() -> None:
    write_stage("LES-MATH-0-1", "اقرأ 0.1")


def undo_edit_and_hide_it_in_a() -> None:
    """Plan A no longer has the lesson whose new bytes may already be in place."""
    undo_edit()
    set_override(plan=plan(A), target=node("UNIT-MATH-0"), action="hide")


def edit_again() -> None:
    write_stage("LES-MATH-0-1", "A third text")


def add_and_hide() -> None:
    """Add one unit, hide another, rename a lesson and delete one."""
    track = node("TRK-MATH")
    unit = services.create_node(
        kind=Kind.UNIT,
        parent=track,
        title="New unit",
        public_id="UNIT-NEW",
        is_published=True,
    )
    topic = services.create_node(
        kind=Kind.TOPIC,
        parent=unit,
        title="New topic",
        public_id="TOP-NEW",
        is_published=True,
    )
    lesson = services.create_node(
        kind=Kind.LESSON,
        parent=topic,
        title="New lesson",
        public_id="LES-NEW",
        is_published=True,
    )
    LessonStage.objects.create(
        public_id="STG-NEW",
        lesson=lesson,
        type="Text",
        title="Read",
        config={"format": "markdown", "body": "new"},
    )
    set_override(plan=plan(A), target=node("UNIT-MATH-0"), action="hide")
    renamed = node("LES-MATH-1-1")
    renamed.title = "Renamed"
    renamed.save()


def take_it_back() -> None:
    """Trash the new unit and show the hidden one again."""
    trash_node(node=node("UNIT-NEW"))
    PlanOverride.objects.get(plan__public_id=A, action="hide").delete()


def withdraw_b() -> None:
    """Unpublish plan B: its own lessons are removed, the shared ones stay."""
    AcademicPlan.objects.filter(public_id=B).update(is_published=False)
    edit_lesson()


def publish_b_again() -> None:
    AcademicPlan.objects.filter(public_id=B).update(is_published=True)


def delete_b() -> None:
    plan(B).delete()


def close_a_lesson() -> None:
    """Gate a lesson that plan A offered openly: the topics of both plans change."""
    lesson = node("LES-MATH-1-0")
    lesson.is_public = False
    lesson.save()


def open_it_again() -> None:
    lesson = node("LES-MATH-1-0")
    lesson.is_public = True
    lesson.save()


def many_generations() -> None:
    """Five releases of plan A, and leftovers of killed builds."""
    a_published_school()
    for number in range(4):
        write_stage("LES-MATH-0-1", f"Text {number}")
        build_all()
    root = file_store.root()
    (root / "lessons/.LES-MATH-0-1.json.PLAN-A.9").write_bytes(b"half")
    (root / "plans/.PLAN-A.9").symlink_to("../.generations/PLAN-A/9")
    half = root / ".generations/PLAN-A/.9"
    half.mkdir()
    (half / "manifest.json").write_bytes(b"half")


def hidden_by_mistake() -> None:
    """Hide a unit of plan A and publish it."""
    a_published_school()
    set_override(plan=plan(A), target=node("UNIT-MATH-0"), action="hide")
    build_all()


def go_back() -> None:
    """Make plan A's first generation current again."""
    rollback.make_current(A, 1)


def publish_a_now() -> None:
    activation.end_rollback(plan(A).pk)


def rest_between_attempts() -> None:
    """Advance the clock past every pending retry."""
    waiting = SyncLog.objects.filter(status=SyncStatus.QUEUED)
    waiting.update(next_attempt_at=None)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario with a kill.

    ``lasting`` are the plans students must be able to read at every moment.
    ``interludes`` are edits between the kill and the next build. With ``one_sync`` the
    build syncs its files with one call, as large builds do.
    """

    name: str
    before: Callable[[], None]
    edit: Callable[[], None] = nothing
    act: Callable[[], None] = work
    lasting: tuple[str, ...] = ()
    interludes: tuple[Callable[[], None], ...] = field(default=(nothing,))
    one_sync: bool = False


SCENARIOS = (
    Scenario("first publish", a_school, interludes=(nothing, withdraw_b)),
    Scenario("first publish, one sync", a_school, one_sync=True),
    Scenario(
        "one lesson edited",
        one_plan,
        edit_lesson,
        lasting=(A,),
        interludes=(nothing, undo_edit, edit_again),
    ),
    Scenario(
        "units added and hidden",
        one_plan,
        add_and_hide,
        lasting=(A,),
        interludes=(nothing, take_it_back),
    ),
    Scenario(
        "two plans share lessons",
        a_published_school,
        edit_lesson,
        lasting=(A, B),
        interludes=(nothing, undo_edit_and_hide_it_in_a),
    ),
    Scenario(
        "plan withdrawn",
        a_published_school,
        withdraw_b,
        lasting=(A,),
        interludes=(nothing, publish_b_again),
    ),
    Scenario("plan deleted", a_published_school, delete_b, lasting=(A,)),
    Scenario(
        "lesson becomes gated",
        a_published_school,
        close_a_lesson,
        lasting=(A, B),
        interludes=(nothing, open_it_again),
    ),
    Scenario(
        "lesson opens in one plan and goes from the other",
        a_published_school,
        undo_edit_and_hide_it_in_a,
        lasting=(A, B),
    ),
    Scenario("generations collected", many_generations, act=collect, lasting=(A, B)),
    Scenario(
        "an earlier generation made current",
        hidden_by_mistake,
        act=go_back,
        lasting=(A, B),
        interludes=(publish_a_now,),
    ),
)
