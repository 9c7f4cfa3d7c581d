"""What deleting content does to students (`content.consequences`)."""

from collections.abc import Sequence

from django.utils.translation import ngettext

from content import consequences
from content.models import Node
from players.models import Enrollment


@consequences.tell
def students_that_lose(nodes: Sequence[Node]) -> str:
    """How many students are enrolled in a plan that offers any of it. One query."""
    subjects = {node.subject_pk for node in nodes}
    rows = Enrollment.objects.filter(plan__plan_subjects__subject_id__in=subjects)
    count = rows.order_by().values("player_id").distinct().count()
    if not count:
        return ""
    return ngettext(
        "%(count)d student learns from it: progress on it counts no more.",
        "%(count)d students learn from it: their progress on it counts no more.",
        count,
    ) % {"count": count}
