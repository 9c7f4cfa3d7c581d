"""How many grades are on their way to Zoho, for the admin's pages."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from registrar.models import GradePoll, GradeState, MoodleGrade

UNSENT = (GradeState.WAITING, GradeState.BASIC_SENT)
KEPT_BACK = (GradeState.NO_STUDENT, GradeState.NO_CLASS)


@dataclass(frozen=True, slots=True)
class Overview:
    """The number of grades by state, and of those that were sent today."""

    counts: dict[str, int]
    sent_today: int

    @property
    def waiting(self) -> int:
        """Grades that will be sent by themselves."""
        return sum(self.counts[state] for state in UNSENT)

    @property
    def kept_back(self) -> int:
        """Grades of which Zoho does not have the student or the class."""
        return sum(self.counts[state] for state in KEPT_BACK)

    @property
    def failed(self) -> int:
        return self.counts[GradeState.FAILED]


def load(now: datetime) -> Overview:
    """Return the numbers. Two queries."""
    midnight = timezone.localtime(now).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    return Overview(
        counts=MoodleGrade.objects.count_states(),
        sent_today=MoodleGrade.objects.filter(sent_at__gte=midnight).count(),
    )


def last_poll() -> GradePoll | None:
    """Return how far Moodle has been read; None before the first run. One query."""
    return GradePoll.objects.first()
