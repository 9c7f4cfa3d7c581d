"""The steps of ``manage.py demo_registrar``: a school whose CRM and Moodle are simulated.

They change records at the simulators and watch the students' pages over HTTP, as a
student's browser shows them.
"""

import json
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

from django.urls import reverse
from django.utils.translation import gettext as _

from core.secrets import encrypt
from memora_site.demo_client import TIMEOUT_SECONDS, AnswerError, StoryError, send
from registrar import tasks
from registrar.inbox import verifiers
from registrar.models import Enrolment, RegistrarSettings, Student

if TYPE_CHECKING:
    from tests.registrar.simulators.moodle import MoodleSimulator
    from tests.registrar.simulators.zoho import ZohoSimulator

LINK_KEY = "demo-key-of-one-time-links-" + "k" * 16
TOKEN = "demo-token-of-notifications-" + "t" * 16
SYNC_SECONDS = 90.0
"""The most that the first reading of the school may take."""
GOAL_SECONDS = 5.0
"""The most between a change in Zoho and the student's page."""
GRADE_SECONDS = 60.0
"""The most between a grade in Moodle and the student's page: beat starts the task that
sends it every 15 seconds."""
CITIES = ("إربد", "عمّان", "Aqaba", "السلط")


class Pages:
    """A student's browser: it keeps cookies and sends forms.

    Args:
        server: the URL of the server.
        language: of the pages.
    """

    def __init__(self, server: str, *, language: str) -> None:
        self._server = server
        self._language = language
        self._opener = build_opener(
            # The server is on this machine: ignore proxies from the environment.
            ProxyHandler({}),
            HTTPCookieProcessor(CookieJar()),
        )

    def get(self, path: str) -> str:
        """Return the page at ``path``; redirects are followed.

        Raises:
            AnswerError: the status is not 2xx.
            OSError: the server does not answer.
        """
        return self._open("GET", path, None)

    def send_form(self, path: str, **changes: str) -> str:
        """Send the form at ``path`` with its own values and ``changes``; return the page."""
        form = _Inputs()
        form.feed(self.get(path))
        return self._open("POST", path, urlencode(form.values | changes).encode())

    def _open(self, method: str, path: str, data: bytes | None) -> str:
        request = Request(  # noqa: S310 - the demo's own server
            self._server + path,
            data,
            {"Accept-Language": self._language},
            method=method,
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                return str(response.read().decode())
        except HTTPError as error:
            with error:
                path = path.partition("?")[0]  # the query has the link's token
                raise AnswerError(method, path, error.code, error.reason) from None


class _Inputs(HTMLParser):
    """Collects the values of a page's inputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "input" and found.get("name"):
            self.values[str(found["name"])] = found.get("value") or ""


class RegistrarDemo:
    """The steps, and what a person may repeat while the demo runs.

    Args:
        server: the URL of the web server, whose worker runs, too.
        zoho: without records; it is filled with a school.
        students: how many the school has.
        language: of the students' pages.
    """

    def __init__(
        self,
        *,
        server: str,
        zoho: "ZohoSimulator",
        moodle: "MoodleSimulator",
        students: int,
        language: str,
    ) -> None:
        from tests.registrar.simulators.school import fill

        self._server = server
        self._zoho, self._moodle = zoho, moodle
        self._school = fill(zoho.store, students=students)
        self._pages = Pages(server, language=language)
        self._student = self._school.students[0]
        self._city = 0

    def play(self) -> Iterator[str]:
        """Run the steps, and yield a sentence after each.

        Raises:
            AnswerError: a request was refused.
            StoryError: something has not arrived in time.
            OSError: the server does not answer.
        """
        yield self._read_school()
        self._sign_in()
        yield _(
            "Signed in to the student's pages with a one-time link, as Moodle does."
        )
        yield self.change_city()
        yield from self._request()
        yield self._grade()

    def change_city(self) -> str:
        """Change the student's city in Zoho, wait for their page, and return a sentence.

        Raises:
            StoryError: the page has not changed in time.
        """
        city = CITIES[self._city % len(CITIES)]
        self._city += 1
        seconds = self._seconds_until(
            lambda: self._change("BTEC_Students", self._student, City=city),
            lambda: city in self._pages.get(reverse("student-profile")),
            what=_("the new city on the profile page"),
        )
        return _(
            "City changed to “%(city)s” in Zoho: on the profile page after %(seconds).1f s."
        ) % {"city": city, "seconds": seconds}

    def create_link(self) -> str:
        """Return a one-time link to the student's pages; it asks for it as Moodle does."""
        moodle_id = Student.objects.get(zoho_id=self._student).moodle_id
        body = {"moodle_id": moodle_id}
        timestamp = str(int(time.time()))
        signature = verifiers.signature(
            LINK_KEY, timestamp=timestamp, body=json.dumps(body).encode()
        )
        answer = send(
            "POST",
            self._server + reverse("student-links"),
            body=body,
            headers={
                verifiers.TIME_HEADER: timestamp,
                verifiers.SIGNATURE_HEADER: signature,
            },
        )
        return str(answer["url"])

    # --- Steps ------------------------------------------------------------------------

    def _read_school(self) -> str:
        """Open the channel of notifications and read the school into the mirror."""
        tasks.check_zoho.delay()
        tasks.reconcile.delay()
        students, places = len(self._school.students), len(self._school.enrolments)
        started = time.monotonic()
        _wait(
            self._is_complete,
            seconds=SYNC_SECONDS,
            what=_("all accounts, courses and enrolments in Moodle"),
        )
        return _(
            "Read the school from Zoho and made %(students)d accounts, %(classes)d courses "
            "and %(places)d enrolments in Moodle in %(seconds).1f s; Zoho has Moodle's ids."
        ) % {
            "students": students,
            "classes": len(self._school.classes),
            "places": places,
            "seconds": time.monotonic() - started,
        }

    def _is_complete(self) -> bool:
        places = Enrolment.objects.filter(pushed_version__gt=0)
        with self._zoho.lock:
            students = self._zoho.store.records["BTEC_Students"].values()
            classes = self._zoho.store.records["BTEC_Classes"].values()
            ids = [row["Student_Moodle_ID"] for row in students]
            ids += [row["Moodle_Class_ID"] for row in classes]
        return (
            all(ids)
            and bool(self._zoho.channels)
            and places.count() == len(self._school.enrolments)
        )

    def _sign_in(self) -> None:
        link = urlsplit(self.create_link())
        # The page has a button; only a form uses the link up.
        self._pages.send_form(f"{link.path}?{link.query}")

    def _request(self) -> Iterator[str]:
        """Send a request as the student, and let the school answer it in Zoho."""
        path = reverse("student-new-request", args=["change"])
        number = "0790000000"
        before = set(self._zoho.store.records["BTEC_Student_Requests"])
        seconds = self._seconds_until(
            lambda: self._pages.send_form(path, phone_number=number),
            lambda: bool(self._new_requests(before)),
            what=_("the request in Zoho"),
        )
        yield _("The student's request is in Zoho after %(seconds).1f s.") % {
            "seconds": seconds
        }
        [request] = self._new_requests(before)
        page = reverse("student-requests")
        seconds = self._seconds_until(
            lambda: self._change("BTEC_Student_Requests", request, Status="Approved"),
            lambda: "Approved" in self._pages.get(page),
            what=_("the status of the request on its page"),
        )
        yield _(
            "Its status “Approved” in Zoho is on the page of requests after %(seconds).1f s."
        ) % {"seconds": seconds}

    def _grade(self) -> str:
        """Grade the student's work in Moodle, and wait until their page has the grade."""
        self._grade_in_moodle()
        # Beat starts it every five minutes.
        tasks.poll_grades.delay()
        started = time.monotonic()
        page = reverse("student-grades")
        _wait(
            lambda: ">M<" in self._pages.get(page),
            seconds=GRADE_SECONDS,
            what=_("the grade on its page"),
        )
        with self._zoho.lock:
            [record] = self._zoho.store.records["BTEC_Grades"].values()
        return _(
            "A teacher's grade in Moodle is in Zoho as “%(grade)s” and on the page of "
            "grades, %(seconds).1f s after Moodle was asked."
        ) % {"grade": record["Grade"], "seconds": time.monotonic() - started}

    def _grade_in_moodle(self) -> None:
        """Fill the rubric of an assignment as a teacher does: P1 and M1, without D1."""
        from tests.registrar.simulators import moodle_grading

        place = Enrolment.objects.select_related("student", "school_class").get(
            zoho_id=self._school.enrolments[0]
        )
        assert place.student is not None
        assert place.school_class is not None
        run, course_id = self._moodle.run, place.school_class.moodle_id or 0
        template = moodle_grading.add_template(
            self._moodle, shortname="BTEC", criteria=("P1", "M1", "D1")
        )
        moodle_grading.copy_assignments(self._moodle, template, course_id)
        courses = run(
            "mod_assign_get_assignments",
            courseids=[course_id],
            includenotenrolledcourses=True,
        )["courses"]
        [assignment] = courses[0]["assignments"]
        areas = run(
            "core_grading_get_definitions",
            cmids=[assignment["cmid"]],
            areaname="submissions",
        )["areas"]
        [definition] = areas[0]["definitions"]
        criteria = [
            {
                "criterionid": row["id"],
                "fillings": [
                    {
                        "criterionid": row["id"],
                        "levelid": row["levels"][row["description"] != "D1"]["id"],
                        "remark": "",
                        "remarkformat": 1,
                    }
                ],
            }
            for row in definition["rubric"]["rubric_criteria"]
        ]
        run(
            "mod_assign_save_grade",
            assignmentid=assignment["id"],
            userid=place.student.moodle_id,
            grade=0,
            attemptnumber=-1,
            addattempt=False,
            workflowstate="",
            applytoall=True,
            advancedgradingdata={"rubric": {"criteria": criteria}},
        )

    def _new_requests(self, before: set[str]) -> set[str]:
        with self._zoho.lock:
            return set(self._zoho.store.records["BTEC_Student_Requests"]) - before

    def _change(self, module: str, record_id: str, **values: str) -> None:
        with self._zoho.lock:
            self._zoho.store.update(module, record_id, values)

    def _seconds_until(
        self, change: Callable[[], object], test: Callable[[], bool], *, what: str
    ) -> float:
        """Return the seconds from a change until ``test`` is true.

        Raises:
            StoryError: it is not within `GOAL_SECONDS`.
        """
        started = time.monotonic()
        change()
        _wait(test, seconds=GOAL_SECONDS, what=what)
        return time.monotonic() - started


def store_accounts(zoho: "ZohoSimulator", moodle: "MoodleSimulator") -> None:
    """Store the accounts of the simulators as staff would enter them in the admin."""
    from tests.registrar.simulators import moodle as moodles, zoho as zohos

    RegistrarSettings.objects.update_or_create(
        pk=RegistrarSettings.singleton_instance_id,
        defaults={
            "zoho_client_id": zohos.CLIENT_ID,
            "zoho_client_secret": encrypt(zohos.CLIENT_SECRET),
            "zoho_refresh_token": encrypt(zohos.REFRESH_TOKEN),
            "zoho_accounts_url": zoho.url,
            "moodle_url": moodle.url,
            "moodle_token": encrypt(moodles.TOKEN),
            "tokens": encrypt(TOKEN),
        },
    )


def _wait(test: Callable[[], bool], *, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if test():
            return
        time.sleep(0.05)
    raise StoryError(
        _("Not there after %(seconds)d s: %(what)s.")
        % {"seconds": seconds, "what": what}
    )
