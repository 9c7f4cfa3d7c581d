"""``manage.py rebuild_lesson_statistics [PLAYER …] [--json]``"""

from players.management.snapshot_commands import RebuildCommand
from progress.services import lesson_counting


class Command(RebuildCommand):
    help = (
        "Count the ledger and the log of ratings anew in the statistics of lessons: "
        "those of the players named, or of all; then add up all sums anew. Exit code "
        "1 if players remain, 2 if there is no such player."
    )
    rebuild = staticmethod(lesson_counting.rebuild)
