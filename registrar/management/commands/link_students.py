"""``manage.py link_students``: which player each student of the school is."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from core.reporting_command import ReportingCommand
from registrar.student_pages import linking


class Command(ReportingCommand):
    help = _(
        "List students of the school and players with the same e-mail address. Without "
        "--apply nothing is written. Check the list: whoever may change addresses in "
        "Zoho decides what is in it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--apply",
            action="store_true",
            help=_("link them: the player can then sign in to the student's pages"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        found = list(linking.pairs())
        for pair in found:
            self.say(
                f"{pair.student.zoho_id}  {pair.student}  "
                f"{pair.player.user.email}  {pair.player.user.full_name}"
            )
        linked = 0
        if options["apply"]:
            linked = sum(linking.link(pair.student, pair.player) for pair in found)
        self.say(
            _("%(found)d found, %(linked)d linked.")
            % {"found": len(found), "linked": linked}
        )
        self.answer(
            {
                "pairs": [
                    {"student": pair.student.zoho_id, "player": pair.player.pk}
                    for pair in found
                ],
                "linked": linked,
            }
        )
