"""What deleting content, a plan or a product does to students."""

from collections.abc import Sequence

from django.utils.translation import ngettext

from content.hooks import node_deletion_warnings, product_uses
from content.models import Node
from plans.hooks import plan_deletion_warnings
from plans.models import AcademicPlan
from players.models import Enrollment, Entitlement


@node_deletion_warnings.add
def affected_students_warning(nodes: Sequence[Node]) -> str:
    """Warn with the number of students enrolled in plans that offer it. One query."""
    subjects = {node.subject_pk for node in nodes}
    rows = Enrollment.objects.filter(plan__plan_subjects__subject_id__in=subjects)
    count = rows.order_by().values("player_id").distinct().count()
    if not count:
        return ""
    return ngettext(
        "%(count)d student has it in a plan: progress on it will no longer count.",
        "%(count)d students have it in a plan: their progress on it will no longer "
        "count.",
        count,
    ) % {"count": count}


@plan_deletion_warnings.add
def enrolled_students_warning(plans: Sequence[AcademicPlan]) -> str:
    """Warn with the number of enrolled students. One query."""
    rows = Enrollment.objects.filter(plan__in=plans)
    count = rows.order_by().values("player_id").distinct().count()
    if not count:
        return ""
    return ngettext(
        "%(count)d student is enrolled and will lose access permanently: a new plan "
        "does not restore the enrolment.",
        "%(count)d students are enrolled and will lose access permanently: a new plan "
        "does not restore the enrolments.",
        count,
    ) % {"count": count}


@product_uses.add
def students_with_product(code: str) -> str:
    """Return how many students have or had this product. One query."""
    count = Entitlement.objects.filter(item=code).count()
    if not count:
        return ""
    return ngettext("%(count)d student", "%(count)d students", count) % {"count": count}
