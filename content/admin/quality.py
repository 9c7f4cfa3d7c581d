"""The page with the quality report of a subject."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from content.admin.lesson import NodePage
from content.admin.tree_search import one_of, page_query
from content.inline_text import plain
from content.models import Node
from content.quality import report
from content.quality.findings import Finding, Problem, StageContent
from content.tree import ContentNode
from core.parsing import is_key

PAGE = 50


@dataclass(frozen=True, slots=True)
class Line:
    """A finding with the addresses of its card and of the stage with the same text.

    ``lesson`` is "" for a finding of the node itself.
    """

    finding: Finding
    title: str
    lesson: str
    url: str
    other_url: str


def card_url(node: ContentNode, stage: StageContent | None) -> str:
    """Return the address of a node's page; it opens the card of ``stage``."""
    page = reverse("admin:content_node_change", args=[node.pk])
    return f"{page}#{stage.id}" if stage else page


def _lines(findings: Sequence[Finding]) -> Iterator[Line]:
    for one in findings:
        other = card_url(one.other.lesson, one.other) if one.other else ""
        node, stage = plain(one.node.title), one.stage
        title, lesson = (plain(stage.title), node) if stage else (node, "")
        yield Line(one, title, lesson, card_url(one.node, stage), other)


class QualityPage(NodePage):
    """The view of the page."""

    def quality_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the findings of a subject by kind; ``?kind=`` filters, ``?p=`` pages.

        Three queries for the report, or four (`report.of_subject`).
        """
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        subjects = Node.objects.subjects().untrashed()
        subject: Node = get_object_or_404(subjects, pk=pk)
        found = report.of_subject(pk)
        kind = one_of(request.GET.get("kind"), Problem.values)
        chosen = [one for one in found.findings if kind in ("", one.problem)]
        asked = request.GET.get("p", "")
        last = max(0, (len(chosen) - 1) // PAGE)
        page = min(int(asked), last) if is_key(asked) else 0
        start = page * PAGE
        shown = chosen[start : start + PAGE]
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": _("Quality report"),
            "opts": self.opts,
            "subject": subject,
            "report": found,
            "total": len(found.findings),
            "kind": kind,
            "counts": [(one, count) for one, count in found.counts.items() if count],
            "good": [one for one, count in found.counts.items() if not count],
            "groups": [
                (problem, found.counts[problem], list(_lines(list(inside))))
                for problem, inside in groupby(shown, key=attrgetter("problem"))
            ],
            "first": start + 1,
            "last": start + len(shown),
            "listed": len(chosen),
            "previous": page_query(request, page - 1) if page else "",
            "next": page_query(request, page + 1) if page < last else "",
        }
        return TemplateResponse(request, "admin/content/node/quality.html", context)
