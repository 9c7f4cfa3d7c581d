"""``manage.py read_season SEASON (--output FILE | --restore) [--json]``"""

import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.translation import gettext as _

from plans.models import Season
from progress.management.season_command import SeasonCommand
from progress.services import seasons


class Command(SeasonCommand):
    help = (
        "Read the archive of a closed season: write its rows to a compressed file of "
        "JSON lines with its SHA-256, or move them back as if the season were open. "
        "Exit code 1 if the database does not answer, 2 if the season is not closed or "
        "the file cannot be written."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--output", metavar="FILE", help=_("the file to write: rows.jsonl.gz")
        )
        parser.add_argument(
            "--restore", action="store_true", help=_("move the rows back")
        )

    def run(self, options: dict[str, Any]) -> None:
        if bool(options["output"]) == options["restore"]:
            raise seasons.SeasonError(_("Choose --output or --restore."))
        season = seasons.find(options["season"])
        if options["restore"]:
            self._restore(season)
        else:
            self._write(season, Path(options["output"]))

    def _restore(self, season: Season) -> None:
        moved = seasons.restore(season, progress=self.progress)
        self.answer({"ok": True, "ledger_rows": moved.ledger, "ratings": moved.ratings})
        self._say(_("Restored"), moved.ledger, moved.ratings)

    def _write(self, season: Season, path: Path) -> None:
        counts: Counter[str] = Counter()
        seasons.require_closed(season)
        with path.open("wb") as file, gzip.GzipFile("", "wb", 6, file, 0) as lines:
            for kind, row in seasons.rows_of(season):
                text = json.dumps(
                    {"kind": kind, **row}, cls=DjangoJSONEncoder, ensure_ascii=False
                )
                lines.write(f"{text}\n".encode())
                counts[kind] += 1
        with path.open("rb") as written:
            sha256 = hashlib.file_digest(written, "sha256").hexdigest()
        self.answer(
            {
                "ok": True,
                "file": str(path),
                "sha256": sha256,
                "ledger_rows": counts["ledger"],
                "ratings": counts["rating"],
            }
        )
        self._say(_("Written"), counts["ledger"], counts["rating"])
        self.say(f"{sha256}  {path}")

    def _say(self, done: str, rows: int, ratings: int) -> None:
        said = _("%(done)s: %(rows)d rows of the ledger and %(ratings)d ratings.")
        self.say(said % {"done": done, "rows": rows, "ratings": ratings})
