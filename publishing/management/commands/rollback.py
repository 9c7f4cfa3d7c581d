"""``manage.py rollback PLAN [GENERATION] [--json]``"""

from typing import Any

from django.core.management.base import CommandParser
from django.utils.formats import localize
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from core.reporting_command import ReportingCommand
from publishing.building import rollback
from publishing.building.rollback import KeptRelease, RollbackError
from publishing.management.commands._plans import published_plans


class Command(ReportingCommand):
    help = (
        "Make a kept generation of a plan current; without GENERATION, list them. "
        "The plan is held until `publish --release`. Exit code 1 if refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("plan", metavar="PLAN", help=_("the plan's id"))
        parser.add_argument("generation", metavar="GENERATION", type=int, nargs="?")

    def handle(self, *_args: Any, **options: Any) -> None:
        plan_id = published_plans(self, [options["plan"]])[0].public_id
        if options["generation"] is None:
            self._list(plan_id)
            return
        try:
            entry = rollback.make_current(plan_id, options["generation"])
        except (RollbackError, OSError) as error:
            self.answer({"ok": False, "plan": plan_id, "error": str(error)})
            self.fail(str(error))
        self.answer({"ok": True, "plan": plan_id, "generation": entry.generation})
        self.say(
            _(
                "Generation %(generation)d of the plan %(plan)s is now current. The "
                "plan is held: “publish --release” publishes it again."
            )
            % {"generation": entry.generation, "plan": plan_id}
        )

    def _list(self, plan_id: str) -> None:
        try:
            found = rollback.kept_releases(plan_id)
        except OSError as error:
            self.answer({"ok": False, "plan": plan_id, "error": str(error)})
            self.fail(str(error))
        self.answer(
            {
                "ok": True,
                "plan": plan_id,
                "generations": [
                    {
                        "number": release.number,
                        "is_current": release.is_current,
                        "built_at": release.log.built_at if release.log else None,
                    }
                    for release in found
                ],
            }
        )
        for release in found:
            self.say(_line(release))
        if not found:
            self.say(_("%(plan)s has no release on this disk.") % {"plan": plan_id})


def _line(release: KeptRelease) -> str:
    built = release.log.built_at if release.log else None
    when = str(localize(localtime(built))) if built else "—"
    return f"{'*' if release.is_current else ' '} {release.number:>6}  {when}"
