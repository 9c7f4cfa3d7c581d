"""``manage.py demo``: run all of Memora on this machine with one command."""

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from memora_site import demo_client, demo_site
from memora_site.demo_school import DEVICE_ID, PASSWORD, STORY_EMAIL, accounts
from memora_site.process_group import ProcessGroup
from publishing import staleness
from publishing.building import builds
from publishing.models import SyncStatus

RELEASED = (SyncStatus.SUCCESS, SyncStatus.LOCAL_ONLY)


class Command(demo_site.SiteCommand):
    help = "Prepare and start a complete Memora on this machine; Ctrl-C stops it."

    def run_steps(self, processes: ProcessGroup, address: demo_site.Address) -> None:
        """Prepare the data, start the processes and run the student's steps."""
        self.print(_("Preparing the database, Redis and the demo school …"))
        demo_site.start_redis(processes)
        _prepare(address.site_url)
        self.print(_("Starting the web server, the worker and the scheduler …"))
        demo_site.start_site(processes, address)
        demo_site.wait_until_ready(processes, address.server)
        self.print(_("The site is ready: %(url)s") % {"url": address.site_url})
        self.print(_("A student's session over HTTP:"))
        app = demo_client.StudentApp(
            address.server,
            public_url=address.site_url,
            device_id=DEVICE_ID,
            language=translation.get_language() or "en",
        )
        steps = demo_client.play(app, email=STORY_EMAIL, password=PASSWORD)
        for number, sentence in enumerate(steps, start=1):
            self.print(f"  {number:2}. {sentence}")
        demo_site.wait_for_worker(processes)
        processes.require_alive()
        self.print(_("The worker answers. Everything works."))

    def print_addresses(self, address: demo_site.Address) -> None:
        site_url = address.site_url
        self.print("")
        self.print(_("Admin:   %(url)s") % {"url": site_url + reverse("admin:index")})
        self.print(_("API:     %(url)s") % {"url": site_url + reverse("api-docs")})
        self.print(_("Files:   %(folder)s") % {"folder": settings.CONTENT_ROOT})
        self.print(_("Logs:    %(folder)s") % {"folder": settings.STATE_DIR / "log"})
        self.print(_("Accounts (password: %(password)s):") % {"password": PASSWORD})
        for email, role in accounts():
            self.print(f"  {email:28} {role}")
        self.print("")
        self.print(_("Press Ctrl-C to stop."))


def _prepare(site_url: str) -> None:
    """Prepare the database, the demo school and its releases; existing data stays.

    Raises:
        CommandError: a plan could not be published; with the reason.
    """
    # The child processes get the URL from the environment, other processes from the
    # file. This process also publishes links.
    settings.SITE_URL = site_url
    settings.SITE_URL_FILE.write_text(site_url)
    call_command("migrate", interactive=False, verbosity=0)
    call_command("seed_demo", verbosity=0)
    settings.CONTENT_ROOT.mkdir(parents=True, exist_ok=True)
    for plan_pk in staleness.pending():
        entry = builds.publish_plan(plan_pk, trigger="demo")
        if entry is not None and entry.status not in RELEASED:
            raise CommandError(
                _("The plan %(plan)s could not be published: %(error)s")
                % {"plan": entry.plan_public_id, "error": entry.error}
            )
