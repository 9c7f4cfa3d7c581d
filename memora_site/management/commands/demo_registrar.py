"""``manage.py demo_registrar``: the registrar with a simulated Zoho CRM and Moodle."""

import select
import shutil
import sys
from argparse import ArgumentParser
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from memora_site import demo_client, demo_site, registrar_demo
from memora_site.demo_school import PASSWORD
from memora_site.process_group import ProcessGroup
from players.models import User

if TYPE_CHECKING:
    from tests.registrar.simulators.moodle import MoodleSimulator
    from tests.registrar.simulators.zoho import ZohoSimulator

ADMIN_EMAIL = "admin@demo.memora"
STUDENTS = 12


class Command(demo_site.SiteCommand):
    help = (
        "Start a complete Memora whose registrar is connected with simulators of Zoho "
        "CRM and Moodle (in tests/); Ctrl-C stops it. Use make demo-registrar."
    )

    _demo: registrar_demo.RegistrarDemo
    _peers: tuple["ZohoSimulator", "MoodleSimulator"]

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--students",
            type=int,
            default=STUDENTS,
            help="How many students there are.",
        )

    def handle(self, *, students: int = STUDENTS, **options: Any) -> None:
        self._students = students
        with ExitStack() as stack:
            self._peers = _simulators(stack)
            super().handle(**options)

    def run_steps(self, processes: ProcessGroup, address: demo_site.Address) -> None:
        """Fill the simulators, start the processes, and run the steps."""
        zoho, moodle = self._peers
        hosts = [urlsplit(peer.url).netloc for peer in self._peers]
        self.print(_("Preparing an empty database, Redis and the simulators …"))
        _empty_state()
        demo_site.start_redis(processes)
        settings.SITE_URL = address.site_url
        settings.SITE_URL_FILE.write_text(address.site_url)
        call_command("migrate", interactive=False, verbosity=0)
        User.objects.create_superuser(ADMIN_EMAIL, PASSWORD, full_name="Demo Admin")
        registrar_demo.store_accounts(zoho, moodle)
        self.print(_("Starting the web server, the worker and the scheduler …"))
        environment = {
            "MEMORA_PRIVATE_HOSTS": ",".join([*settings.PRIVATE_HOSTS, *hosts]),
            "MEMORA_STUDENT_LINK_KEYS": registrar_demo.LINK_KEY,
        }
        demo_site.start_site(processes, address, environment=environment)
        demo_site.wait_until_ready(processes, address.server)
        demo_site.wait_for_worker(processes)
        self.print(_("The site is ready: %(url)s") % {"url": address.site_url})
        self._demo = registrar_demo.RegistrarDemo(
            server=address.server,
            zoho=zoho,
            moodle=moodle,
            students=self._students,
            language=translation.get_language() or "en",
        )
        for number, sentence in enumerate(self._demo.play(), start=1):
            self.print(f"  {number:2}. {sentence}")
        processes.require_alive()
        self.print(_("Everything works."))

    def print_addresses(self, address: demo_site.Address) -> None:
        url = address.site_url + reverse("admin:registrar_dashboard")
        self.print("")
        self.print(_("Registrar dashboard: %(url)s") % {"url": url})
        self.print(
            _("Sign in as %(email)s, password %(password)s.")
            % {"email": ADMIN_EMAIL, "password": PASSWORD}
        )
        self._print_link()
        self.print(_("Logs:    %(folder)s") % {"folder": settings.STATE_DIR / "log"})
        self.print("")
        if sys.stdin.isatty():
            self.print(
                _(
                    "Press Enter to change the student's city in Zoho and get a new link."
                )
            )
        self.print(_("Press Ctrl-C to stop."))

    def watch(self, processes: ProcessGroup) -> None:
        """Wait until a process ends; each Enter changes the city again.

        Raises:
            ChildExitedError: a process has ended.
        """
        if not sys.stdin.isatty():
            super().watch(processes)
        while True:
            processes.require_alive()
            ready, _out, _err = select.select([sys.stdin], [], [], 0.5)
            if ready and sys.stdin.readline():
                self._again()

    def _again(self) -> None:
        try:
            self.print(self._demo.change_city())
            self._print_link()
        except demo_client.StoryError as error:
            self.print(str(error))

    def _print_link(self) -> None:
        self.print(
            _("Student's pages, valid for five minutes: %(url)s")
            % {"url": self._demo.create_link()}
        )


def _simulators(stack: ExitStack) -> tuple["ZohoSimulator", "MoodleSimulator"]:
    """Start both simulators.

    Raises:
        CommandError: they are not in this installation, or this is production.
    """
    if settings.PRODUCTION:
        raise CommandError(_("The demo does not run in production."))
    try:
        from tests.registrar.simulators.moodle import MoodleSimulator
        from tests.registrar.simulators.zoho import ZohoSimulator
    except ModuleNotFoundError:
        raise CommandError(
            _(
                "The simulators of Zoho CRM and Moodle are in the folder tests/ of the "
                "repository, which this installation lacks."
            )
        ) from None
    return stack.enter_context(ZohoSimulator()), stack.enter_context(MoodleSimulator())


def _empty_state() -> None:
    """Delete what the last demo has stored: the simulators begin empty, too.

    The folder of published files is made, and stays empty.

    Raises:
        CommandError: the data may be more than a demo's.
    """
    database = settings.STATE_DIR / "db.sqlite3"
    mark = settings.STATE_DIR / "demo-registrar"
    is_own = connection.settings_dict["NAME"] in (database, str(database))
    if not (settings.EMBEDDED_REDIS and is_own) or (
        database.exists() and not mark.exists()
    ):
        raise CommandError(
            _(
                "This demo deletes the data of the one before, so it needs a folder of "
                "its own, without DATABASE_URL and REDIS_URL: use make demo-registrar."
            )
        )
    mark.touch()
    settings.CONTENT_ROOT.mkdir(parents=True, exist_ok=True)
    for file in settings.STATE_DIR.glob("db.sqlite3*"):
        file.unlink()
    shutil.rmtree(settings.STATE_DIR / "redis", ignore_errors=True)
