"""``manage.py reconcile [--all] [--repair] [PLAYER …] [--json]``"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _, ngettext

from core.reporting_command import ReportingCommand
from players.management.snapshot_commands import add_players, find_players
from progress.services import reconciliation
from progress.services.comparison import Difference, Store

_LISTED = 20
"""How many differences are printed for people."""


class Command(ReportingCommand):
    help = (
        "Compare the players' wallets and progress in Redis and in the snapshots with "
        "the ledger: of the players named, of those active in the last day, or of all. "
        "With --repair, delete wrong records in Redis and write wrong snapshots again. "
        "Exit code 1 if differences remain or a service does not answer, 2 if there is "
        "no such player."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_players(parser)
        parser.add_argument(
            "--all", action="store_true", help=_("all players, active or not")
        )
        parser.add_argument(
            "--repair", action="store_true", help=_("correct what differs")
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        named = find_players(self, options["players"])
        if named and options["all"]:
            said = _("Name players or use --all, not both.")
            self.answer({"ok": False, "error": said})
            self.misused(said)
        self.players = self.listed = self.found = self.remaining = 0
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.redis_is_away, self.error = False, ""
        self.answer_list(
            "differences",
            self._reconcile(named, everyone=options["all"], repair=options["repair"]),
            self._summary,
        )
        self._say_summary()
        self._fail_if_needed()

    # --- Comparing --------------------------------------------------------------------

    def _reconcile(
        self, named: list[int], *, everyone: bool, repair: bool
    ) -> Iterator[dict[str, Any]]:
        """Yield the differences, and count them."""
        try:
            parts, total = reconciliation.select(
                named, everyone=everyone, now=timezone.now()
            )
            for part in parts:
                result = reconciliation.reconcile(part, repair=repair)
                self.players += len(part)
                self.found += len(result.found)
                self.remaining += len(result.remaining)
                self.redis_is_away |= result.redis_is_away
                left = {_place(one) for one in result.remaining}
                for one in result.found:
                    self._count(one)
                    yield _as_dict(one, repaired=repair and _place(one) not in left)
                self.progress(self.players, total)
        except DatabaseError as error:
            self.error = str(error)

    def _count(self, one: Difference) -> None:
        kind = "progress" if one.subject_id else "wallet"
        self.counts[one.store, kind, one.field] += 1
        if self.listed < _LISTED:
            self.listed += 1
            self.say(
                _(
                    "Player %(player)d, %(where)s, %(field)s: %(found)s, ledger %(right)s"
                )
                % {
                    "player": one.player_id,
                    "where": f"{_store(one.store)} {one.subject_id or _('wallet')}",
                    "field": one.field,
                    "found": _value(one.found),
                    "right": _value(one.ledger),
                }
            )

    # --- The result -------------------------------------------------------------------

    @property
    def _is_ok(self) -> bool:
        return not (self.remaining or self.redis_is_away or self.error)

    def _summary(self) -> dict[str, Any]:
        return {
            "ok": self._is_ok,
            "players": self.players,
            "found": self.found,
            "remaining": self.remaining,
            "counts": [
                {"store": store, "kind": kind, "field": name, "count": count}
                for (store, kind, name), count in sorted(self.counts.items())
            ],
            "redis_is_away": self.redis_is_away,
            "error": self.error,
        }

    def _say_summary(self) -> None:
        if self.found > self.listed:
            said = ngettext(
                "and %(count)d more (--json lists all)",
                "and %(count)d more (--json lists all)",
                self.found - self.listed,
            )
            self.say(said % {"count": self.found - self.listed})
        for (store, kind, name), count in sorted(self.counts.items()):
            what = _("wallet") if kind == "wallet" else _("progress")
            self.say(
                _("%(store)s, %(what)s, %(field)s: %(count)d")
                % {
                    "store": _store(Store(store)),
                    "what": what,
                    "field": name,
                    "count": count,
                }
            )
        said = ngettext(
            "%(count)d player compared.", "%(count)d players compared.", self.players
        )
        self.say(said % {"count": self.players})
        if not self.found and self._is_ok:
            self.say(_("Everything is what the ledger says."))
        elif self.found and not self.remaining:
            self.say(_("All differences are repaired."))

    def _fail_if_needed(self) -> None:
        if self.error:
            self.fail(
                _("The database does not answer: %(why)s Nothing is lost.")
                % {"why": self.error}
            )
        if self.remaining:
            said = ngettext(
                "%(count)d difference remains.",
                "%(count)d differences remain.",
                self.remaining,
            )
            self.fail(said % {"count": self.remaining})
        if self.redis_is_away:
            self.fail(
                _(
                    "Redis does not answer, so only the snapshots were compared. Run the "
                    "command again once Redis answers."
                )
            )


def _place(one: Difference) -> tuple[int, str, str, str]:
    return one.player_id, one.store, one.subject_id, one.field


def _as_dict(one: Difference, *, repaired: bool) -> dict[str, Any]:
    return {
        "player": one.player_id,
        "store": one.store,
        "subject": one.subject_id or None,
        "field": one.field,
        "found": one.found,
        "ledger": one.ledger,
        "repaired": repaired,
    }


def _store(store: Store) -> str:
    return _("Redis") if store is Store.REDIS else _("snapshot")


def _value(value: Any) -> str:
    """Return the value for a line of text; a long one is cut."""
    text = _("missing") if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
