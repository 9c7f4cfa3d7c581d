"""A process that returns where content is read: by URL, by API and on a page.

``python -m tests.publishing.cdn.reader_process EMAIL`` answers each line of its input
with a line of JSON: ``read``, ``set FIELD JSON`` (of the publishing settings), and, once
for all processes of a database, ``begin``.
"""

import json
import re
import sys
from typing import Any

import django

BASE_URL = "https://cdn.example.org"
PLAYERS = ("first@school.example", "second@school.example")
STAFF = "staff@school.example"
_MANIFEST = "plans/PLAN-P/manifest.json"


def begin() -> None:
    """Create a published plan that is on the CDN, its two players, and a staff user."""
    from core import secrets
    from plans.models import AcademicPlan
    from players.models import User
    from players.services import accounts
    from publishing.building import builds
    from publishing.destinations import public_destination_id
    from publishing.models import Publication, PublishingSettings
    from tests.players.app import PASSWORD

    plan = AcademicPlan.objects.create(
        public_id="PLAN-P", title="Grade 5", is_published=True
    )
    current = PublishingSettings.get_solo()
    current.cdn_enabled, current.cdn_base_url = True, BASE_URL
    current.cdn_bucket = "bucket"
    current.cdn_access_key = current.cdn_secret_key = secrets.encrypt("any")
    current.save()
    builds.build_plan(plan.pk)
    Publication.objects.update(cdn_place=public_destination_id(current))
    for email in PLAYERS:
        accounts.create_player(email, PASSWORD, plan=plan)
    User.objects.create_superuser(STAFF, PASSWORD)


class Reader:
    """Reads as a player and as a staff user, both signed in beforehand."""

    def __init__(self, email: str) -> None:
        from django.test import Client

        from players.models import User
        from tests.players.app import App

        self._app = App()
        assert self._app.sign_in(email).status_code == 200
        self._browser = Client()
        self._browser.force_login(User.objects.get(email=STAFF))

    def read(self) -> dict[str, str]:
        from publishing.content_urls import get_content_url

        page = self._browser.get("/admin/publishing/dashboard/").content.decode()
        shown = re.search(r'<code dir="ltr">(http[^<]*)</code>', page)
        return {
            "url": get_content_url(_MANIFEST),
            "api": self._app.get("content/").json()["manifest_url"],
            "page": shown[1] + _MANIFEST if shown else page,
        }


def change(field: str, value: Any) -> None:
    from publishing.models import PublishingSettings

    current = PublishingSettings.get_solo()
    setattr(current, field, value)
    current.save()


def main(email: str) -> None:
    django.setup()
    from django.test.utils import setup_test_environment

    setup_test_environment()
    reader = None
    for line in sys.stdin:
        command, *arguments = line.split()
        answer: Any = None
        if command == "begin":
            begin()
        elif command == "set":
            change(arguments[0], json.loads(arguments[1]))
        else:
            reader = reader or Reader(email)
            answer = reader.read()
        sys.stdout.write(f"answer: {json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
