"""Pictures of the admin's pages: both languages, both schemes, desktop and phone.

    make pictures
    make pictures ARGS="--all /tmp/pictures --only tree plan"

The demo school in its own state folder, with some pending edits and one failed
build. No worker runs, so the state does not change. `SHOWN` go to docs/images.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from tests.journeys import picture_students

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
HOST = "127.0.0.1"
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
SHOWN = [
    ("tree", "ar", "light", "desktop"),
    ("tree", "en", "light", "desktop"),
    ("tree", "ar", "dark", "phone"),
    ("lesson", "ar", "light", "desktop"),
    ("lesson", "en", "light", "desktop"),
    ("lesson", "en", "dark", "desktop"),
    ("plan", "ar", "light", "desktop"),
    ("plan", "en", "light", "desktop"),
    ("upcoming", "ar", "light", "desktop"),
    ("upcoming", "en", "light", "desktop"),
    ("upcoming", "en", "light", "phone"),
    ("preview", "ar", "light", "phone"),
    ("preview", "en", "dark", "desktop"),
    ("home", "ar", "light", "desktop"),
    ("history", "ar", "light", "desktop"),
    ("history", "en", "light", "desktop"),
    ("exchange", "ar", "light", "desktop"),
    ("exchange", "en", "light", "desktop"),
    ("text_search", "ar", "light", "desktop"),
    ("text_search", "en", "light", "desktop"),
    ("quality", "ar", "light", "desktop"),
    ("quality", "en", "light", "desktop"),
    ("student", "ar", "light", "desktop"),
    ("player_dashboard", "ar", "light", "desktop"),
    ("dashboard", "ar", "light", "desktop"),
    ("dashboard", "en", "dark", "desktop"),
]
"""The pictures used in docs/, as ``page × language × scheme × size``."""
LESSON, UNIT = "LES-DEMO-MATH-01", "UNIT-DEMO-MATH-01"
SHEET = """id,title,is_free_preview
LES-DEMO-MATH-02,البسط فوق المقام,yes
LES-DEMO-MATH-03,كسور من حولنا,yes
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--all", type=Path, help="a folder for all of them")
    parser.add_argument("--whole", action="store_true", help="with what is below")
    parser.add_argument("--only", nargs="+", default=list(PAGES), choices=PAGES)
    options = parser.parse_args()
    if options.all:
        options.all.mkdir(parents=True, exist_ok=True)
    with a_school() as address:
        for name, language, scheme, size in take(address, options):
            print(f"{name:10} {language} {scheme:5} {size}")


# --- The school -----------------------------------------------------------------------


@contextmanager
def a_school() -> Iterator[str]:
    """Serve the demo school and yield its address."""
    with ExitStack() as ends:
        folder = ends.enter_context(tempfile.TemporaryDirectory(prefix="memora-"))
        with socket.socket() as free:
            free.bind((HOST, 0))
            port = free.getsockname()[1]
        address = f"http://{HOST}:{port}"
        os.environ.update(
            DJANGO_SETTINGS_MODULE="memora_site.settings",
            DATABASE_URL=f"sqlite:///{folder}/db.sqlite3",
            MEMORA_STATE_DIR=folder,
            MEMORA_CONTENT_ROOT=f"{folder}/content",
            MEMORA_SITE_URL=address,
            MEMORA_LOG_LEVEL="ERROR",
        )
        os.environ.pop("REDIS_URL", None)
        import django

        django.setup()
        from django.conf import settings

        from memora_site import embedded_redis

        redis = embedded_redis.start(
            settings.EMBEDDED_REDIS_SOCKET, data_dir=None, ends_with_us=True
        )
        if redis is not None:
            ends.callback(embedded_redis.stop, redis)
        furnish()
        granian = [sys.executable, "-m", "granian", "--interface", "wsgi"]
        granian += ["--host", HOST, "--port", str(port), "memora_site.wsgi:application"]
        log = ends.enter_context(open(f"{folder}/web.log", "wb"))
        web = subprocess.Popen(granian, stdout=log, stderr=log)
        ends.callback(web.wait)
        ends.callback(web.terminate)
        wait_for(address)
        yield address


def furnish() -> None:
    """Create and publish the demo school; then add pending edits and a failed build."""
    from django.conf import settings
    from django.core.management import call_command
    from django.utils import timezone
    from simple_history.models import HistoricalRecords

    from content.models import LessonStage, Node
    from plans.models import AcademicPlan
    from plans.services import set_override
    from players.models import User
    from publishing import staleness, tasks
    from publishing.building import builds
    from publishing.monitoring import health

    call_command("migrate", interactive=False, verbosity=0)
    call_command("seed_demo", verbosity=0)
    settings.CONTENT_ROOT.mkdir(parents=True, exist_ok=True)
    for plan in staleness.pending():
        builds.publish_plan(plan, trigger="demo")
    tasks.heartbeat()
    health.check(full=True)

    editor = User.objects.get(email="editor@demo.memora")
    HistoricalRecords.context.request = SimpleNamespace(user=editor)
    lesson = Node.objects.get(public_id=LESSON)
    for title in ("نقسم بالتساوي بين الأصدقاء", "نقسم بالعدل"):
        lesson.title = title
        lesson.save()
    school = AcademicPlan.objects.get(public_id="PLAN-DEMO-SCHOOL")
    hidden = Node.objects.get(public_id="LES-DEMO-PHYS-02")
    set_override(plan=school, target=hidden, action="hide")
    # Only the other plan offers this unit: the school hides it.
    of_the_other = Node.objects.get(public_id="UNIT-DEMO-MATH-04").get_descendants()
    spoilt = LessonStage.objects.filter(lesson__in=of_the_other).first()
    LessonStage.objects.filter(pk=spoilt.pk).update(title="")
    other = AcademicPlan.objects.get(public_id="PLAN-DEMO-HOME")
    builds.publish_plan(other.pk, trigger="demo")
    call_support()
    owner = User.objects.get(email="admin@demo.memora")
    picture_students.add(owner_id=owner.pk, now=timezone.now())


def call_support() -> None:
    """Give the student an old phone, and a new one that is refused."""
    from django.utils import timezone

    from memora_site.demo_school import PASSWORD, STUDENT_EMAIL
    from players.errors import DeviceNotAuthorizedError
    from players.models import PlayerProfile, User
    from players.services import sessions, wallet

    student = PlayerProfile.objects.get(user__email=STUDENT_EMAIL)
    student.school_number, student.phone = "2041", "+9647701234567"
    student.save()
    for name in ("هاتف سارة", "جهاز لوحي جديد"):
        with suppress(DeviceNotAuthorizedError):
            sessions.sign_in(
                email=STUDENT_EMAIL,
                password=PASSWORD,
                device_id=uuid4(),
                device_name=name,
                ip_address="203.0.113.7",
                now=timezone.now(),
            )
    wallet.correct(
        player_id=student.pk,
        xp=50,
        reason="أولمبياد الرياضيات",
        actor_id=User.objects.get(email="editor@demo.memora").pk,
        now=timezone.now(),
    )


def wait_for(address: str) -> None:
    from memora_site.demo_client import send

    for _turn in range(1200):
        try:
            send("GET", f"{address}/healthz")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("The web server did not start.")


# --- The pages ------------------------------------------------------------------------


def tree(page: Any) -> None:
    first = _node(LESSON)
    page.goto(f"{_url('content_node_changelist')}?at={first}")
    page.wait_for_selector("#tree[data-ready]")
    if page.viewport_size["width"] > 1000:  # the page fits without scrolling
        page.evaluate("scrollTo(0, 0)")


def lesson(page: Any) -> None:
    page.goto(_url("content_node_change", _node(LESSON)))
    page.wait_for_selector(".stages.is-scripted")
    card = page.locator(".stage-card").last
    card.locator(".stage-toggle").click()
    card.locator(".je-ready").wait_for()
    page.frame_locator(".live-frame").locator(".stage").wait_for()
    page.locator(".stages").evaluate("stages => stages.scrollIntoView()")


def plan(page: Any) -> None:
    page.goto(f"{_url('plans_academicplan_change', _plan())}?at={_node(UNIT)}")
    page.locator(f"#node-{_node(UNIT)}").wait_for()
    page.locator(".plan-content").evaluate("it => it.scrollIntoView()")


def upcoming(page: Any) -> None:
    page.goto(_url("publishing_upcoming", _plan()))


def preview(page: Any) -> None:
    page.goto(_url("preview_lesson", LESSON))
    app = page.frame_locator(".preview-frame")
    for _stage in range(2):
        app.locator(".onward").click()
    app.locator(".option", has_text="نصف").click()
    page.mouse.move(0, 0)


def home(page: Any) -> None:
    page.goto(_url("index"))


def history(page: Any) -> None:
    page.goto(_url("content_node_history", _node(LESSON)))


def exchange(page: Any) -> None:
    page.goto(_url("exchange"))
    form = page.locator("form", has=page.locator("input[accept^='.xlsx']"))
    sheet = {"name": "lessons.csv", "mimeType": "text/csv", "buffer": SHEET.encode()}
    form.locator("input[type=file]").set_input_files(sheet)
    form.locator("button").click()
    page.locator(".tried, .errornote").first.wait_for()


def dashboard(page: Any) -> None:
    page.goto(_url("publishing_dashboard"))


def found(page: Any) -> None:
    page.goto(f"{_url('content_node_changelist')}?q=الكسر")


def text_search(page: Any) -> None:
    page.goto(f"{_url('content_node_text')}?q=البسط")


def quality(page: Any) -> None:
    page.goto(_url("content_node_quality", _node("SUBJ-DEMO-MATH")))


def unit(page: Any) -> None:
    page.goto(_url("content_node_change", _node(UNIT)))


def delete(page: Any) -> None:
    page.goto(_url("content_node_delete", _node(UNIT)))


def override(page: Any) -> None:
    page.goto(_url("plans_override", _plan(), _node(UNIT)))


def generations(page: Any) -> None:
    page.goto(_url("publishing_generations", _plan()))


def topic(page: Any) -> None:
    page.goto(_url("preview_topic", "TOP-DEMO-MATH-01"))


def settings(page: Any) -> None:
    page.goto(_url("publishing_publishingsettings_changelist"))


def student(page: Any) -> None:
    page.goto(f"{_url('players_playerprofile_changelist')}?q=sara@demo")
    page.locator("#result_list tbody th a").first.click()
    page.wait_for_url("**/change/**")


def reset_code(page: Any) -> None:
    student(page)
    forms = page.locator("details", has=page.locator("#code-reason"))
    forms.locator("summary").click()
    forms.locator("#code-reason").fill("نسيت كلمة المرور")
    forms.locator("form[action$='reset-code/'] button").click()
    page.locator(".the-code").wait_for()


def erase(page: Any) -> None:
    student(page)
    page.locator("form:has([value=erase_chosen]) button").click()
    page.locator("[name=confirmed]").wait_for(state="attached")


def students(page: Any) -> None:
    page.goto(_url("players_playerprofile_changelist"))


def student_found(page: Any) -> None:
    page.goto(f"{_url('players_playerprofile_changelist')}?q=ساره")


def student_new(page: Any) -> None:
    page.goto(_url("players_playerprofile_add"))


def students_import(page: Any) -> None:
    page.goto(_url("import_students"))


def students_preview(page: Any) -> None:
    students_import(page)
    faulty = f"{picture_students.sheet(115, 9)}\n,wrong,,,,No such plan,12"
    sheet = {"name": "students.csv", "mimeType": "text/csv", "buffer": faulty.encode()}
    page.locator("input[type=file]").set_input_files(sheet)
    page.locator("form:has(input[type=file]) button").click()
    page.locator(".confirmation").wait_for()


def students_imported(page: Any) -> None:
    from players.models import StudentImport

    run = StudentImport.objects.order_by("pk").first()
    page.goto(_url("import_students_progress", run.pk))


def player_dashboard(page: Any) -> None:
    page.goto(_url("players_dashboard"))


def player_dashboard_empty(page: Any) -> None:
    page.goto(f"{_url('players_dashboard')}?grade=0")


def groups(page: Any) -> None:
    page.goto(_url("players_studygroup_changelist"))


def group(page: Any) -> None:
    page.goto(_url("players_studygroup_change", _group()))


def group_access(page: Any) -> None:
    group(page)
    page.locator(".object-tools button").click()
    page.locator("[name=confirmed]").wait_for(state="attached")


def events(page: Any) -> None:
    page.goto(_url("players_securityevent_changelist"))


def events_none(page: Any) -> None:
    page.goto(f"{_url('players_securityevent_changelist')}?until=2001-01-01")


def event(page: Any) -> None:
    page.goto(
        f"{_url('players_securityevent_changelist')}?type__exact=wallet_corrected"
    )
    page.locator("#result_list tbody a").first.click()
    page.wait_for_url("**/change/**")


def admin_log(page: Any) -> None:
    page.goto(_url("admin_logentry_changelist"))


def accounts(page: Any) -> None:
    page.goto(_url("players_user_changelist"))


def statistics(page: Any) -> None:
    page.goto(_url("progress_statistics", _node(UNIT)))


def statistics_lesson(page: Any) -> None:
    page.goto(_url("progress_statistics", _node(LESSON)))


def class_view(page: Any) -> None:
    page.goto(_url("progress_class", _group()))


def progress(page: Any) -> None:
    page.goto(_url("progress_student", _pupil()))


def grant(page: Any) -> None:
    page.goto(f"{_url('progress_grant', _pupil())}?node={UNIT}")


def reset(page: Any) -> None:
    page.goto(f"{_url('progress_reset', _pupil())}?node={UNIT}")


def teacher(page: Any) -> None:
    """The home page of a teacher, who stays signed in: the last page of all."""
    page.context.clear_cookies(name="sessionid")
    sign_in(page, picture_students.TEACHER)


PAGES: dict[str, Callable[[Any], None]] = {
    go.__name__: go
    for go in (
        *(tree, lesson, plan, upcoming, preview, home, history, exchange, dashboard),
        *(
            found,
            text_search,
            quality,
            unit,
            delete,
            override,
            generations,
            topic,
            settings,
            student,
        ),
        *(reset_code, erase, students, student_found, student_new, students_import),
        *(students_preview, students_imported, player_dashboard),
        *(player_dashboard_empty, groups, group, group_access, events, events_none),
        *(event, admin_log, accounts, statistics, statistics_lesson, class_view),
        *(progress, grant, reset, teacher),
    )
}


def _url(name: str, *args: object) -> str:
    from django.urls import reverse

    return reverse(f"admin:{name}", args=args)


def _node(public_id: str) -> int:
    from content.models import Node

    return Node.objects.get(public_id=public_id).pk


def _group() -> int:
    from players.models import StudyGroup

    return StudyGroup.objects.order_by("pk").first().pk


def _pupil() -> int:
    """Return a student of the class who has passed three lessons."""
    from django.db.models import Count, Q

    from players.models import PlayerProfile

    passed = Count("interactions", filter=Q(interactions__type="lesson_completed"))
    members = PlayerProfile.objects.filter(memberships__group=_group())
    return members.annotate(passed=passed).filter(passed=3).order_by("pk").first().pk


def _plan() -> int:
    from plans.models import AcademicPlan

    return AcademicPlan.objects.get(public_id="PLAN-DEMO-SCHOOL").pk


# --- Taking them ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Look:
    """How a page is rendered."""

    language: str
    scheme: str
    size: str


def take(address: str, options: Any) -> Iterator[tuple[str, str, str, str]]:
    """Take every selected picture: all of them when a folder is given."""
    from playwright.sync_api import sync_playwright

    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # the event loop is Playwright's
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        for look in product(("ar", "en"), ("light", "dark"), SIZES):
            page = _signed_in(browser, address, Look(*look))
            for name in options.only:
                picture = (name, *look)
                if not options.all and picture not in SHOWN:
                    continue
                PAGES[name](page)
                page.wait_for_timeout(300)
                taken = page.screenshot(animations="disabled", full_page=options.whole)
                data = smaller(taken)
                if options.all:
                    (options.all / f"{'-'.join(picture)}.png").write_bytes(data)
                if picture in SHOWN and not options.whole:
                    (IMAGES / file_name(*picture)).write_bytes(data)
                yield picture
        browser.close()


def file_name(name: str, language: str, scheme: str, size: str) -> str:
    """``tree-ar.png``; a scheme but light and a size but desktop are appended."""
    parts = [name.replace("_", "-"), language]
    parts += [scheme] if scheme != "light" else []
    parts += [size] if size != "desktop" else []
    return "-".join(parts) + ".png"


def smaller(data: bytes) -> bytes:
    """The same picture with its own palette."""
    from PIL import Image

    out = BytesIO()
    with Image.open(BytesIO(data)) as image:
        few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(out, "PNG", optimize=True)
    return out.getvalue()


def _signed_in(browser: Any, address: str, look: Look) -> Any:
    width, height = SIZES[look.size]
    context = browser.new_context(
        base_url=address,
        viewport={"width": width, "height": height},
        color_scheme=look.scheme,
    )
    cookie = {"name": "django_language", "value": look.language, "url": address}
    context.add_cookies([cookie])
    page = context.new_page()
    sign_in(page, "admin@demo.memora")
    return page


def sign_in(page: Any, email: str) -> None:
    from memora_site.demo_school import PASSWORD

    page.goto(_url("login"))
    page.fill("[name=username]", email)
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    page.wait_for_url("**/admin/")


if __name__ == "__main__":
    main()
