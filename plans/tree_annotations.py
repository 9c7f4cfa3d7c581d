"""Show rows of the content tree as a plan's students see them.

Used on the plan's own page, and on the content tree as "View as". Only the rows on the
page are read, whatever the size of the tree.
"""

from collections.abc import Mapping, Sequence

from django.db.models import Q
from django.utils.html import format_html
from django.utils.translation import gettext as _

from content.queries import content_node
from content.tree_annotations import RowAnnotation
from content.tree_rows import Row, count_visible
from core.parsing import as_key
from plans import labels, queries
from plans.access import Override
from plans.explain import NodeExplanation, explain
from plans.models import AcademicPlan


class PlanAnnotator:
    """A `content.tree_annotations.TreeAnnotator` with one choice per plan."""

    def choices(self) -> Sequence[tuple[str, str]]:
        """Return the plans as (key, title), sorted by title. One query."""
        rows = AcademicPlan.objects.order_by("title").values_list("pk", "title")
        return [(str(pk), title) for pk, title in rows]

    def subject_pks(self, choice: str) -> Sequence[int]:
        """Return the plan's subjects; empty if the plan does not exist. One query."""
        return queries.subject_pks(as_key(choice))

    def annotate(self, choice: str, rows: Sequence[Row]) -> Mapping[int, RowAnnotation]:
        """Return the annotation of each row, by node pk. Five queries.

        Returns nothing if the plan does not exist.
        """
        plan_pk = as_key(choice)
        if not AcademicPlan.objects.filter(pk=plan_pk).exists():
            return {}
        overrides = queries.load_overrides(plan_pk)
        subjects = set(queries.subject_pks(plan_pk))
        offered = [row for row in rows if row.node.subject_pk in subjects]
        explained = explain_rows(offered, overrides)
        elsewhere = RowAnnotation(
            format_html('<span class="quiet">{}</span>', _("Not in this plan")),
            is_hidden=True,
        )
        return {row.node.pk: elsewhere for row in rows} | {
            row.node.pk: _annotation(row, explained[row.node.pk], overrides)
            for row in offered
        }


def explain_rows(
    rows: Sequence[Row], overrides: Mapping[int, Override]
) -> dict[int, NodeExplanation]:
    """Explain each row's node in the plan, by node pk. Two queries."""
    hidden_pks = [pk for pk, explanation in overrides.items() if explanation.hide]
    lessons = count_visible(
        rows,
        counted=Q(is_published=True, trashed_at__isnull=True),
        excluded=Q(is_published=False)
        | Q(trashed_at__isnull=False)
        | Q(pk__in=hidden_pks),
        excluded_pks=hidden_pks,
    )
    return {
        row.node.pk: explain(
            [content_node(node) for node in row.trail],
            overrides,
            lessons=lessons.get(row.node.pk, 0),
            total=row.lessons,
        )
        for row in rows
    }


def why(
    row: Row, explanation: NodeExplanation, overrides: Mapping[int, Override]
) -> str:
    """Return `labels.why` for a row, with ancestors named as the plan renames them."""
    spoken_of = {
        node.public_id: overrides[node.pk] for node in row.trail if node.pk in overrides
    }
    titles = {node.public_id: node.title for node in row.trail} | {
        public_id: override.title
        for public_id, override in spoken_of.items()
        if override.title
    }
    return labels.why(explanation, titles, spoken_of)


def _annotation(
    row: Row, explanation: NodeExplanation, overrides: Mapping[int, Override]
) -> RowAnnotation:
    shown = (
        labels.access_badge(explanation.access)
        if explanation.absent is None
        else labels.absence_badge(explanation)
    )
    reason = why(row, explanation, overrides)
    return RowAnnotation(
        access=format_html('<span title="{}">{}</span>', reason, shown),
        title=explanation.title,
        is_hidden=explanation.absent is not None,
        lessons=explanation.lessons,
    )
