"""``manage.py seed_demo``: create what is missing of the demo school."""

import contextlib
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from memora_site import demo_school, embedded_redis, health


class Command(BaseCommand):
    help = (
        "Create the demo school: subjects, plans, staff and students with history. "
        "Can be run again; never in production."
    )

    def handle(self, *_args: Any, **options: Any) -> None:
        is_quiet = options["verbosity"] == 0
        with _redis():
            try:
                for sentence in demo_school.seed():
                    if not is_quiet:
                        self.stdout.write(sentence)
            except demo_school.DemoError as error:
                raise CommandError(str(error)) from error
        if not is_quiet:
            self._print_accounts()

    def _print_accounts(self) -> None:
        self.stdout.write(_("The demo school is complete."))
        self.stdout.write(
            _("Accounts (password: %(password)s):") % {"password": demo_school.PASSWORD}
        )
        for email, role in demo_school.accounts():
            self.stdout.write(f"  {email:24} {role}")


@contextlib.contextmanager
def _redis() -> Iterator[None]:
    """Run the bundled Redis for the duration of the command, if none is running."""
    process = None
    try:
        if settings.EMBEDDED_REDIS:
            process = embedded_redis.start(
                settings.EMBEDDED_REDIS_SOCKET, data_dir=settings.STATE_DIR / "redis"
            )
        health.check_redis()
        yield
    except (embedded_redis.EmbeddedRedisError, health.NotReady) as error:
        raise CommandError(str(error)) from error
    finally:
        if process is not None:
            embedded_redis.stop(process)
