"""Grades reach Zoho with their criteria, each attempt once (D7A)."""

import contextlib
import random
import time
from dataclasses import dataclass, field

import pytest
from django.utils import timezone

from registrar.effects import handlers
from registrar.grades import polling
from registrar.models import Effect, GradePoll, MoodleGrade, PeerState, Student
from registrar.outbox import adding, running
from registrar.peers.errors import PeerError, PeerUnavailableError
from registrar.zoho import records
from tests.registrar.simulators.moodle_grading import add_assignment, add_template
from tests.registrar.simulators.moodle_people import add_user

GRADES = "BTEC_Grades"
CRITERIA = "Learning_Outcomes_Assessm"


@dataclass
class Gradebook:
    """A class with one student and one assignment; teachers grade in Moodle."""

    school: object
    course: int
    assignment: int
    user: int
    student: str
    school_class: str
    clock: int = field(default_factory=lambda: int(time.time()))

    def submit(self, user: int = 0) -> None:
        """Hand in the latest attempt, as the student does."""
        attempts = self.moodle.attempts.setdefault(
            (self.assignment, user or self.user), []
        )
        if not attempts:
            attempts.append(
                {
                    "number": 0,
                    "submission": {
                        "id": self.moodle.number("submission"),
                        "userid": user or self.user,
                        "attemptnumber": 0,
                        "assignment": self.assignment,
                        "timecreated": self.moodle.now(),
                    },
                    "grade": None,
                    "feedback": "",
                }
            )
        attempts[-1]["submission"] |= {
            "status": "submitted",
            "timemodified": self.moodle.now(),
        }

    def grade(self, *, reopen: bool = False, user: int = 0, **chosen: int) -> None:
        """Grade the latest attempt: the level, 0 or 1, of each criterion by its code."""
        cm = self.moodle.assignments[self.assignment]["cmid"]
        area = self.moodle.run(
            "core_grading_get_definitions", cmids=[cm], areaname="submissions"
        )["areas"][0]
        [definition] = area["definitions"]
        criteria = [
            {
                "criterionid": row["id"],
                "fillings": [
                    {
                        "criterionid": row["id"],
                        "levelid": row["levels"][chosen[row["description"]]]["id"],
                        "remark": f"on {row['description']}",
                        "remarkformat": 1,
                    }
                ],
            }
            for row in definition["rubric"]["rubric_criteria"]
            if row["description"] in chosen
        ]
        place = {"courseid": self.course, "userid": user or self.user}
        self.moodle.run("enrol_manual_enrol_users", enrolments=[{**place, "roleid": 5}])
        self.moodle.run(
            "mod_assign_save_grade",
            assignmentid=self.assignment,
            userid=user or self.user,
            grade=0,
            attemptnumber=-1,
            addattempt=reopen,
            workflowstate="",
            applytoall=True,
            plugindata={"assignfeedbackcomments_editor": {"text": "x", "format": 1}},
            advancedgradingdata={"rubric": {"criteria": criteria}},
        )

    def poll(self) -> int:
        return polling.poll(self.school.site.moodle)

    def send(self) -> None:
        """Add and do the effects of grades."""
        adding.add_grades_due(most=1000)
        found = handlers.of_site(self.school.site)
        while running.run(handlers=found).tried:
            pass

    def sync(self) -> None:
        self.poll()
        self.send()

    def later(self, seconds: int) -> None:
        """Let Moodle's clock go on."""
        self.clock += seconds

    def key(self, attempt: int, user: int = 0) -> str:
        return f"{self.course}-{self.assignment}-{user or self.user}-{attempt}"

    @property
    def moodle(self):
        return self.school.moodle

    @property
    def in_zoho(self) -> dict[str, dict]:
        """The records of grades by composite key, none of them twice."""
        rows = self.school.zoho.store.records[GRADES].values()
        found = {row["Moodle_Grade_Composite_Key"]: row for row in rows}
        assert len(found) == len(rows)
        return found

    def grades(self) -> dict[str, str]:
        return {key: row["Grade"] for key, row in self.in_zoho.items()}

    def scores(self, attempt: int) -> dict[str, str]:
        rows = self.in_zoho[self.key(attempt)][CRITERIA]
        found = {row["LO_Code"]: row["LO_Score"] for row in rows}
        assert len(found) == len(rows)
        return found

    def calls(self) -> list[str]:
        """The functions of Moodle that were called since the last time."""
        names = [one.form.get("wsfunction", "") for one in self.moodle.requests]
        self.moodle.requests.clear()
        return names

    def states(self) -> dict[str, str]:
        rows = MoodleGrade.objects.with_state()
        return dict(rows.values_list("composite_key", "state"))


@pytest.fixture
def book(school) -> Gradebook:
    unit = school.add("BTEC_Units", Name="Networks", Unit_Code="U9")
    student = school.student()
    made = school.school_class(Unit={"id": unit})
    school.enrolment(student, made)
    school.run()
    course = school.row("BTEC_Classes", made).moodle_id
    template = add_template(school.moodle, shortname="unit", criteria=("P1", "M1"))
    # The teacher has moved the assignment into the course of the class.
    assignment = max(school.moodle.assignments)
    assert school.moodle.assignments[assignment]["course"] == template
    school.moodle.assignments[assignment]["course"] = course
    book = Gradebook(
        school,
        course,
        assignment,
        school.row("BTEC_Students", student).moodle_id,
        student,
        made,
    )
    school.moodle.now = lambda: book.clock
    book.poll()
    school.moodle.requests.clear()
    return book


def test_a_grade_reaches_zoho_with_its_lookups_and_criteria(book):
    book.submit()
    book.grade(P1=1, M1=0)
    book.sync()
    record = book.in_zoho[book.key(0)]
    assert record["Student"]["id"] == book.student
    assert record["Class"]["id"] == book.school_class
    assert record["BTEC_Unit"]["name"] == "Networks"
    assert record["Grade"] == "P"
    assert record["Moodle_Course_ID"] == str(book.course)
    assert record["Moodle_User_ID"] == str(book.user)
    first = record[CRITERIA][0]
    assert first["LO_Title"] == "P1"
    assert first["LO_Definition"] == "Met"
    assert first["LO_Feedback"] == "on P1"
    assert book.scores(0) == {"P1": "Achieved", "M1": "Not Achieved"}
    assert book.states() == {book.key(0): "enriched"}


def test_a_reopened_and_regraded_attempt_has_its_own_record_and_criteria(book):
    book.submit()
    book.grade(P1=0, M1=0, reopen=True)
    book.sync()
    assert book.grades() == {book.key(0): "R"}
    book.later(3600)
    book.submit()
    book.grade(P1=1, M1=1)
    book.sync()
    assert book.grades() == {book.key(0): "R", book.key(1): "M"}
    assert book.scores(0) == {"P1": "Not Achieved", "M1": "Not Achieved"}
    assert book.scores(1) == {"P1": "Achieved", "M1": "Achieved"}


def test_grade_reopen_and_regrade_between_two_polls_are_two_records(book):
    book.submit()
    book.grade(P1=0, M1=0, reopen=True)
    book.submit()
    book.grade(P1=0, M1=1)
    book.sync()
    assert book.grades() == {book.key(0): "R", book.key(1): "RR"}
    assert book.scores(1) == {"P1": "Not Achieved", "M1": "Achieved"}


def test_a_grade_that_was_reopened_before_the_poll_is_not_missed(book):
    book.submit()
    book.grade(P1=0, M1=0, reopen=True)
    # Moodle lists no grade of this student now.
    assert (
        book.moodle.run("mod_assign_get_grades", assignmentids=[book.assignment])[
            "assignments"
        ]
        == []
    )
    book.sync()
    assert book.grades() == {book.key(0): "R"}


def test_a_changed_grade_of_the_same_attempt_updates_its_record(book):
    book.submit()
    book.grade(P1=0, M1=0)
    book.sync()
    book.later(3600)
    book.grade(P1=1, M1=0)
    book.sync()
    assert book.grades() == {book.key(0): "P"}
    assert book.scores(0) == {"P1": "Achieved", "M1": "Not Achieved"}
    assert MoodleGrade.objects.get().version == 2


def test_two_changes_in_the_same_second_are_both_sent(book):
    book.submit()
    book.grade(P1=0, M1=0)
    book.sync()
    book.grade(P1=1, M1=0)
    book.sync()
    assert book.grades() == {book.key(0): "P"}


def test_a_grade_that_becomes_visible_late_is_read(book):
    book.submit()
    book.grade(P1=1, M1=0)
    [attempt] = book.moodle.attempts.pop((book.assignment, book.user))
    other = add_user(book.moodle, username="other", email="other@x.edu")
    book.later(240)
    book.submit(other)
    book.grade(P1=1, M1=1, user=other)
    book.poll()
    book.moodle.attempts[book.assignment, book.user] = [attempt]
    book.sync()
    assert book.grades() == {book.key(0): "P"}


def test_the_same_poll_twice_does_nothing(book):
    book.submit()
    book.grade(P1=1, M1=0)
    book.sync()
    before = list(MoodleGrade.objects.values()), Effect.objects.count()
    book.calls()
    book.school.zoho.requests.clear()
    book.sync()
    assert (list(MoodleGrade.objects.values()), Effect.objects.count()) == before
    assert book.school.zoho.requests == []
    assert book.calls() == [
        "mod_assign_get_assignments",
        "mod_assign_get_grades",
        "mod_assign_get_submissions",
    ]


def test_a_poll_with_changes_takes_a_fixed_number_of_calls(book):
    users = [
        add_user(book.moodle, username=f"u{number}", email=f"u{number}@x.edu")
        for number in range(3)
    ]
    for user in users:
        book.submit(user)
        book.grade(P1=1, M1=0, user=user)
    book.poll()
    assert sorted(book.calls()) == [
        "core_grading_get_definitions",
        "core_grading_get_gradingform_instances",
        "mod_assign_get_assignments",
        "mod_assign_get_grades",
        *["mod_assign_get_submission_status"] * 3,
        "mod_assign_get_submissions",
    ]


def test_a_new_assignment_is_read_from_its_beginning(book):
    book.submit()
    book.grade(P1=1, M1=0)
    book.later(24 * 3600)
    # Another class, whose newer grade moves the watermark.
    GradePoll.objects.update(since=book.clock, assignment_ids=[])
    book.sync()
    assert book.grades() == {book.key(0): "P"}


def test_grades_in_moodle_that_have_no_criteria_are_sent_as_numbers(book):
    place = (
        1000 + book.moodle.assignments[book.assignment]["cmid"],
        "mod_assign",
        "submissions",
    )
    book.moodle.areas[place] = {"activemethod": "", "definition": None}
    book.moodle.run(
        "mod_assign_save_grade",
        assignmentid=book.assignment,
        userid=book.user,
        grade=85,
        attemptnumber=-1,
        addattempt=False,
        workflowstate="",
        applytoall=True,
    )
    book.sync()
    assert book.grades() == {book.key(0): "85"}
    assert book.states() == {book.key(0): "enriched"}


@pytest.fixture
def by_scale(book):
    """Grade a student by an assignment with a scale of these items."""

    def grade(value: int, items: list[str]) -> None:
        book.moodle.scales[7] = items
        assignments = book.moodle.assignments.values()
        known = [one["id"] for one in assignments if one["grade"] == -7]
        book.assignment = (
            known[0]
            if known
            else add_assignment(
                book.moodle, book.course, name="R & D", method="", grade=-7
            )
        )
        book.moodle.run(
            "mod_assign_save_grade",
            assignmentid=book.assignment,
            userid=book.user,
            grade=value,
            attemptnumber=-1,
            addattempt=False,
            workflowstate="",
            applytoall=True,
        )

    return grade


def test_a_grade_of_a_scale_is_sent_by_its_name(book, by_scale):
    by_scale(2, ["Not & yet", "Competent < expert", "Expert"])
    book.sync()
    assert book.grades() == {book.key(0): "Competent < expert"}
    assert MoodleGrade.objects.get().assignment_name == "R & D"
    book.later(10)
    by_scale(1, ["Not & yet", "Competent < expert", "Expert"])
    book.sync()
    assert book.grades() == {book.key(0): "Not & yet"}


def test_btecs_scale_gives_the_grades_of_btec(book, by_scale):
    scale = ["Refer", "Pass", "Merit", "Distinction"]
    by_scale(3, scale)
    book.sync()
    assert book.grades() == {book.key(0): "M"}
    book.later(10)
    by_scale(1, scale)
    book.submit()
    book.sync()
    assert book.grades() == {book.key(0): "R"}


def test_a_poll_reads_a_scale_once(book, by_scale):
    by_scale(2, ["A", "B"])
    other = add_user(book.moodle, username="other", email="other@x.edu")
    user, book.user = book.user, other
    place = {"courseid": book.course, "userid": other, "roleid": 5}
    book.moodle.run("enrol_manual_enrol_users", enrolments=[place])
    by_scale(1, ["A", "B"])
    book.calls()
    book.poll()
    assert book.calls().count("core_competency_get_scale_values") == 1
    assert dict(MoodleGrade.objects.values_list("user_id", "grade")) == {
        user: "B",
        other: "A",
    }


@pytest.mark.parametrize("is_withheld", [True, False])
def test_a_scale_that_cannot_be_read_leaves_the_number(book, by_scale, is_withheld):
    by_scale(2, ["A", "B"])
    if is_withheld:
        book.moodle.withheld.add("core_competency_get_scale_values")
        book.school.site.moodle._info = None
    else:
        del book.moodle.scales[7]
    book.sync()
    assert book.grades() == {book.key(0): "2"}


def test_a_grade_keeps_its_criteria_when_the_rubric_is_replaced(book):
    book.submit()
    book.grade(P1=1, M1=0)
    book.sync()
    for area in book.moodle.areas.values():
        if area["definition"]:
            for row in area["definition"]["rubric"]["rubric_criteria"]:
                row["id"] += 500
    book.later(60)
    book.moodle.attempts[book.assignment, book.user][0]["grade"]["timemodified"] += 60
    book.sync()
    assert book.grades() == {book.key(0): "P"}


# --- Crashes and faults ---------------------------------------------------------------


class Killed(BaseException):
    """Ends the process, as a signal does."""


def kill_after(monkeypatch, owner, name, *, times=1):
    """Let the process end after the next call of a function."""
    real = getattr(owner, name)
    left = [times]

    def call_and_die(*args, **kwargs):
        found = real(*args, **kwargs)
        left[0] -= 1
        if not left[0]:
            raise Killed
        return found

    monkeypatch.setattr(owner, name, call_and_die)


def expire_claims() -> None:
    GradePoll.objects.update(claimed_until=timezone.now())
    Effect.objects.filter(state="running").update(due_at=timezone.now())


@pytest.mark.parametrize("function", ["upsert", "update"])
def test_a_kill_between_zoho_and_our_save_makes_no_duplicate(
    book, monkeypatch, function
):
    book.submit()
    book.grade(P1=1, M1=0)
    book.poll()
    kill_after(monkeypatch, records, function)
    with pytest.raises(Killed):
        book.send()
    monkeypatch.undo()
    assert book.states()[book.key(0)] != "enriched"
    expire_claims()
    book.send()
    assert book.grades() == {book.key(0): "P"}
    assert book.scores(0) == {"P1": "Achieved", "M1": "Not Achieved"}


@pytest.mark.parametrize("times", range(1, 8))
def test_a_poll_that_is_killed_at_any_call_loses_nothing(book, monkeypatch, times):
    for number in range(2):
        user = add_user(book.moodle, username=f"u{number}", email=f"u{number}@x.edu")
        book.submit(user)
        book.grade(P1=1, M1=0, user=user)
    kill_after(monkeypatch, book.school.site.moodle, "read", times=times)
    with pytest.raises(Killed):
        book.poll()
    monkeypatch.undo()
    expire_claims()
    book.poll()
    rows = MoodleGrade.objects.values_list("grade", "version")
    assert list(rows) == [("P", 1), ("P", 1)]


def test_a_poll_that_is_killed_before_it_moves_the_watermark_loses_nothing(
    book, monkeypatch
):
    book.submit()
    book.grade(P1=1, M1=0)
    before = GradePoll.objects.get().since
    kill_after(monkeypatch, polling, "store")
    with pytest.raises(Killed):
        book.poll()
    monkeypatch.undo()
    assert GradePoll.objects.get().since == before
    expire_claims()
    book.sync()
    assert MoodleGrade.objects.get().version == 1
    assert book.grades() == {book.key(0): "P"}


def test_an_upsert_without_an_answer_makes_no_duplicate(book):
    book.submit()
    book.grade(P1=1, M1=0)
    book.poll()
    book.school.zoho.fail(
        "drop_after", matches=lambda one: one.path.endswith("/upsert")
    )
    book.send()
    assert Effect.objects.get(kind="grade").state == "pending"
    book.school.run_later()
    assert book.grades() == {book.key(0): "P"}


def test_criteria_without_an_answer_are_not_added_twice(book):
    book.submit()
    book.grade(P1=1, M1=0)
    book.poll()
    book.school.zoho.fail("drop_after", matches=lambda one: one.method == "PUT")
    book.send()
    assert book.states() == {book.key(0): "basic_sent"}
    book.school.run_later()
    assert book.scores(0) == {"P1": "Achieved", "M1": "Not Achieved"}
    assert book.states() == {book.key(0): "enriched"}


def test_while_moodle_is_away_nothing_is_lost(book):
    book.submit()
    book.grade(P1=0, M1=0, reopen=True)
    book.moodle.maintenance = True
    for _ in range(3):
        with pytest.raises(PeerUnavailableError):
            book.poll()
    assert GradePoll.objects.get().last_error
    book.later(3600)
    book.moodle.maintenance = False
    book.submit()
    book.grade(P1=1, M1=0)
    book.sync()
    assert book.grades() == {book.key(0): "R", book.key(1): "P"}
    assert GradePoll.objects.get().last_error == ""


def test_a_fault_in_the_middle_keeps_what_was_read(book):
    users = [
        add_user(book.moodle, username=f"u{number}", email=f"u{number}@x.edu")
        for number in range(4)
    ]
    for user in users:
        book.submit(user)
        book.grade(P1=1, M1=0, user=user)
        book.later(1)
    book.moodle.fail(
        "status",
        matches=lambda one: one.form.get("userid") == str(users[2]),
    )
    with pytest.raises(PeerUnavailableError):
        book.poll()
    assert MoodleGrade.objects.count() == 2
    book.poll()
    assert MoodleGrade.objects.count() == 4


def test_a_user_who_was_deleted_in_moodle_stops_nothing(book):
    gone = add_user(book.moodle, username="gone", email="gone@x.edu")
    for user in (gone, book.user):
        book.submit(user)
        book.grade(P1=1, M1=0, user=user)
    del book.moodle.users[gone]
    book.sync()
    assert book.grades() == {book.key(0): "P"}


def test_a_student_who_left_the_course_stops_nothing(book):
    other = add_user(book.moodle, username="other", email="other@x.edu")
    for user in (other, book.user):
        book.submit(user)
        book.grade(P1=1, M1=1, user=user)
    place = {"courseid": book.course, "userid": other}
    book.moodle.run("enrol_manual_unenrol_users", enrolments=[place])
    book.sync()
    assert book.grades() == {book.key(0): "M"}
    assert GradePoll.objects.get().last_error == ""


def test_an_account_that_was_deleted_after_the_grade_stops_nothing(book):
    other = add_user(book.moodle, username="other", email="other@x.edu")
    for user in (other, book.user):
        book.submit(user)
        book.grade(P1=1, M1=1, user=user)
    book.moodle.run("core_user_delete_users", userids=[other])
    book.sync()
    assert book.grades() == {book.key(0): "M"}


def test_two_polls_at_once_read_once(book):
    book.submit()
    book.grade(P1=1, M1=0)
    run = polling._Run.begin()
    assert run is not None
    assert book.poll() == 0
    run.end()
    assert book.poll() == 1


@pytest.mark.parametrize("seed", range(3))
def test_with_faults_at_random_each_attempt_has_one_right_record(book, seed):
    chance = random.Random(seed)
    faults = {"drop_before": 0.1, "drop_after": 0.1, "status": 0.1}
    book.moodle.fail_at_random(faults, seed=seed)
    book.school.zoho.fail_at_random(faults, seed=seed)
    expected = {}

    def work() -> None:
        PeerState.objects.update(open_until=None)
        Effect.objects.filter(state="pending").update(due_at=timezone.now())
        with contextlib.suppress(PeerError):
            book.poll()
        book.send()

    for attempt in range(6):
        book.later(chance.choice([0, 1, 400]))
        book.submit()
        passed, merit = chance.randint(0, 1), chance.randint(0, 1)
        book.grade(P1=passed, M1=merit, reopen=True)
        failed = "RR" if attempt else "R"
        expected[book.key(attempt)] = ("M" if merit else "P") if passed else failed
        work()
    book.moodle.recover()
    book.school.zoho.recover()
    for _ in range(2):
        work()
    assert book.grades() == expected
    for attempt in range(6):
        grade = expected[book.key(attempt)]
        passed = "Achieved" if grade in "PM" else "Not Achieved"
        assert book.scores(attempt)["P1"] == passed
    assert set(book.states().values()) == {"enriched"}


# --- Rows that Zoho does not get ------------------------------------------------------


def test_a_user_who_is_no_student_waits_until_zoho_has_them(book):
    aide = add_user(book.moodle, username="aide", email="aide@x.edu")
    book.submit(aide)
    book.grade(P1=1, M1=0, user=aide)
    book.sync()
    assert book.states() == {book.key(0, aide): "no_student"}
    assert not Effect.objects.filter(kind="grade").exists()
    student = book.school.student("عمر")
    Student.objects.filter(zoho_id=student).update(moodle_id=aide)
    book.send()
    assert book.grades() == {book.key(0, aide): "P"}


def test_a_course_that_is_no_class_is_not_read(book):
    other = add_template(book.moodle, shortname="other", criteria=("P1",))
    assignment = max(book.moodle.assignments)
    assert book.moodle.assignments[assignment]["course"] == other
    book.moodle.run(
        "mod_assign_save_grade",
        assignmentid=assignment,
        userid=book.user,
        grade=50,
        attemptnumber=-1,
        addattempt=False,
        workflowstate="",
        applytoall=True,
    )
    book.sync()
    assert not MoodleGrade.objects.exists()


def test_a_class_that_was_deleted_in_zoho_is_named_as_the_reason(book):
    book.submit()
    book.grade(P1=1, M1=0)
    book.poll()
    book.school.delete("BTEC_Classes", book.school_class)
    book.send()
    assert book.states() == {book.key(0): "no_class"}
    assert book.grades() == {}


def test_a_refused_grade_says_why_and_a_new_grade_is_sent(book):
    book.submit()
    book.grade(P1=0, M1=0)
    book.poll()
    book.school.zoho.row_fault = lambda _row: "INVALID_DATA"
    book.send()
    [row] = MoodleGrade.objects.with_state()
    assert row.state == "failed"
    assert "INVALID_DATA" in row.error
    book.school.zoho.row_fault = lambda _row: ""
    book.later(60)
    book.grade(P1=1, M1=0)
    book.sync()
    assert book.grades() == {book.key(0): "P"}
    assert book.states() == {book.key(0): "enriched"}


def test_a_crm_without_a_table_for_criteria_gets_the_grade_and_says_so(book):
    book.submit()
    book.grade(P1=1, M1=0)
    book.poll()
    real = records.get

    def get(*args, **kwargs):
        found = real(*args, **kwargs)
        return {name: value for name, value in found.items() if name != CRITERIA}

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(records, "get", get)
        book.send()
    assert book.grades() == {book.key(0): "P"}
    [row] = MoodleGrade.objects.with_state()
    assert row.state == "failed"
    assert CRITERIA in row.error
    adding.send_grades_again([row])
    book.send()
    assert book.states() == {book.key(0): "enriched"}


def test_a_record_that_was_deleted_in_zoho_comes_back_when_it_is_sent_again(book):
    book.submit()
    book.grade(P1=1, M1=0)
    book.sync()
    book.school.zoho.store.delete(GRADES, book.in_zoho[book.key(0)]["id"])
    book.sync()
    assert book.grades() == {}
    adding.send_grades_again(MoodleGrade.objects.all())
    book.send()
    assert book.grades() == {book.key(0): "P"}
    assert book.scores(0) == {"P1": "Achieved", "M1": "Not Achieved"}


def test_our_own_record_comes_back_as_a_mirror_and_causes_nothing(book):
    book.submit()
    book.grade(P1=1, M1=0)
    book.sync()
    zoho_id = book.in_zoho[book.key(0)]["id"]
    assert book.school.mirror(GRADES, zoho_id).outcome == "created"
    assert book.school.mirror(GRADES, zoho_id).outcome == "unchanged"
    before = Effect.objects.count()
    book.sync()
    book.school.run()
    assert Effect.objects.count() == before
