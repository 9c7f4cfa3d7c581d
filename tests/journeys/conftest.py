"""Tests over real HTTP: a server, a small plan, a student, an editor's browser."""

import shutil
import threading
import time
from collections.abc import Iterator

import pytest
from django.core.signals import request_finished, request_started
from django.test import Client

from content.integrity import find_faults
from content.models import Node
from memora_site.demo_client import AnswerError, StudentApp
from plans.models import AcademicPlan
from plans.services import add_subject, set_override
from players.models import PlayerProfile, User
from players.services.accounts import create_player
from publishing.building import builds
from publishing.models import SyncStatus
from tests.factories.content import make_subject

EMAIL = "sara@example.org"
PASSWORD = "a-long-enough-phrase"


def publish(plan: AcademicPlan) -> None:
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry is None or entry.status == SyncStatus.LOCAL_ONLY, entry.error


def refusal(call, *args, **kwargs) -> tuple[int, str]:
    """The status and error code with which the server refuses a call."""
    with pytest.raises(AnswerError) as refused:
        call(*args, **kwargs)
    assert set(refused.value.body) <= {"error_code", "message", "details"}
    assert refused.value.body["message"]
    return refused.value.status, refused.value.body["error_code"]


class _Requests:
    """Counts the requests that the live server has begun and not finished."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def begin(self, **_kwargs: object) -> None:
        with self._changed:
            self._count += 1

    def end(self, **_kwargs: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait_for_all(self) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._count <= 0, timeout=60)


@pytest.fixture
def server(live_server, settings) -> Iterator[str]:
    """A server's address, which published files link to.

    The test ends when the last request has: a browser that is closed leaves requests
    behind, and the database could not be emptied beside them.
    """
    settings.SITE_URL = live_server.url
    requests = _Requests()
    request_started.connect(requests.begin)
    request_finished.connect(requests.end)
    yield live_server.url
    is_idle = requests.wait_for_all()
    request_started.disconnect(requests.begin)
    request_finished.disconnect(requests.end)
    assert is_idle, "a request of the live server did not end"


@pytest.fixture
def arabic(server, transactional_db) -> Node:
    """A linear subject: two units, the first of two lessons, the second of one."""
    return make_subject("AR", lessons=[2, 1], is_linear=True)


@pytest.fixture
def plan(arabic: Node) -> AcademicPlan:
    """A published plan of the subject; its first lesson is open."""
    plan = AcademicPlan.objects.create(
        public_id="PLAN-1", title="الصف الخامس", is_published=True
    )
    add_subject(plan=plan, subject=arabic)
    first = Node.objects.get(public_id="LES-AR-0-0")
    set_override(plan=plan, target=first, action="set_free")
    publish(plan)
    return plan


@pytest.fixture
def student(plan: AcademicPlan) -> PlayerProfile:
    return create_player(EMAIL, PASSWORD, full_name="Sara", plan=plan)


@pytest.fixture
def phone(server: str, student: PlayerProfile) -> StudentApp:
    """The student's app, not signed in."""
    return StudentApp(server)


# --- An editor's browser --------------------------------------------------------------

EDITOR = "editor@example.org"


def sign_in(page) -> None:
    """Sign in on the admin's login page as the editor that ``open_page`` created."""
    page.fill("[name=username]", EDITOR)
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    page.wait_for_url("**/admin/")


SELECT = """([place, from]) => {
  const { editor } = place.closest(".rich-text");
  const { view } = editor;
  const end = view.posAtDOM(place, place.childNodes.length);
  const start = from === "start" ? view.posAtDOM(place, 0) : end;
  editor.commands.setTextSelection({ from: start, to: end });
  const { focusNode, focusOffset } = getSelection();
  return view.hasFocus() && view.posAtDOM(focusNode, focusOffset) === view.state.selection.to;
}"""


def put_caret(place, *, select: bool = False) -> None:
    """Click into a rich text and put the caret at the end of a place in it.

    A click and a key are not enough: 20 ms after the focus ProseMirror restores the
    selection of its state, which does not contain the last key yet if the browser is
    slow. So the selection is set in that state, until the text has the focus and the
    browser shows the same selection.

    Args:
        place: the locator of a ``.rich-text``, or of an element with text in it.
        select: select the whole place.
    """
    place.click()
    argument = [place.element_handle(), "start" if select else "end"]
    place.page.wait_for_function(SELECT, arg=argument)


def write(place, text: str) -> None:
    """Type at the end of a rich text, or of an element in it."""
    put_caret(place)
    place.page.keyboard.type(text)


def hold_first(page, address: str):
    """Hold the page's first request to this address.

    Returns:
        A function that waits for the request and lets it continue.
    """
    held: list = []
    page.route(address, lambda route: held.append(route), times=1)

    def release() -> None:
        deadline = time.monotonic() + 30
        while not held and time.monotonic() < deadline:
            page.wait_for_timeout(10)
        assert held, f"no request to {address}"
        held[0].continue_()

    return release


@pytest.fixture(scope="package")
def chromium():
    """A headless Chromium; without one on this machine the test is skipped."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright (requirements/dev.txt)"
    )
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium on this machine")
    # Playwright keeps an event loop running, in which Django would refuse queries.
    with pytest.MonkeyPatch.context() as patch, playwright.sync_playwright() as started:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        # The same timeout as for all other waits: the machine may be busy.
        playwright.expect.set_options(timeout=30_000)
        browser = started.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, server, settings, transactional_db):
    """Create an editor with all permissions; return a function that opens her browser.

    It returns an empty page of a new browser in which she is signed in.

    A script's error, an error in the browser's console and an unexpected dialog fail
    the test, and so does a corrupt tree at its end.
    """
    editor = User.objects.create_superuser(EDITOR, PASSWORD)
    contexts, errors = [], []

    def heard(message):
        # The test itself checks refused requests.
        if message.type == "error" and "Failed to load resource" not in message.text:
            errors.append(message.text)

    def asked(dialog):
        errors.append(f"dialog: {dialog.message}")
        dialog.accept()

    def new_page(
        language: str = "en",
        *,
        width: int = 1400,
        scheme: str = "light",
        scripts: bool = True,
    ):
        context = chromium.new_context(
            base_url=server,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=scripts,
        )
        contexts.append(context)
        # Signed in without the sign-in page, which takes as long as many a test.
        session = Client()
        session.force_login(editor, "django.contrib.auth.backends.ModelBackend")
        cookies = {
            "django_language": language,
            settings.SESSION_COOKIE_NAME: session.session.session_key,
        }
        context.add_cookies(
            [
                {"name": name, "value": value, "url": server}
                for name, value in cookies.items()
            ]
        )
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", heard)
        page.on("dialog", asked)
        return page

    yield new_page
    for context in contexts:
        context.close()
    assert errors == []
    assert find_faults() == []
