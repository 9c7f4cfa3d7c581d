"""The page that searches the words of lessons' stages."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from content import tree_annotations, tree_rows
from content.admin.lesson import NodePage
from content.admin.tree_search import one_of, page_query
from content.inline_text import plain
from content.models import LessonStage, Node
from content.models.stages import stage_type_choices
from content.stage_texts import words_of
from core.excerpts import Part, excerpt
from core.folding import fold
from core.parsing import is_key

PAGE = 25
MAX_FOUND = 500
"""How many stages are listed; the page then asks for more words."""
_MAX_EXCERPTS = 3
"""Of one stage."""


@dataclass(frozen=True, slots=True)
class TextSearch:
    """What the page searches for."""

    query: str = ""
    type: str = ""
    subject: str = ""
    plan: str = ""

    @classmethod
    def of(cls, request: HttpRequest) -> "TextSearch":
        """Read the search from the query string; invalid values are ignored."""
        params = request.GET
        types = [name for name, _label in stage_type_choices()]
        subject, plan = params.get("subject", ""), params.get("plan", "")
        return cls(
            query=params.get("q", "").strip()[:200],
            type=one_of(params.get("type"), types),
            subject=subject if is_key(subject) else "",
            plan=plan if is_key(plan) else "",
        )

    @property
    def words(self) -> list[str]:
        return fold(self.query).split()

    def find(self) -> list[int]:
        """Return the keys of the stages with all words, in the order of the tree.

        At most `MAX_FOUND`, not those in the trash. One query, which reads the folded
        texts of all stages that the filters leave; two with a plan.
        """
        if not self.words:
            return []
        lessons = Q()
        if self.subject:
            lessons &= Q(lesson__subject_id=self.subject)
        if self.plan:
            subjects = tree_annotations.subject_pks(self.plan)
            lessons &= Q(lesson__subject_id__in=list(subjects))
        found = LessonStage.objects.filter(lessons)
        if self.type:
            found = found.filter(type=self.type)
        for word in self.words:
            found = found.filter(text_folded__contains=word)
        living = Node.objects.filter(tree_rows.outside_trash()).order_by()
        found = found.filter(lesson__in=living.values("pk"))
        ordered = found.order_by("lesson__tree_id", "lesson__lft", "position", "pk")
        return list(ordered.values_list("pk", flat=True)[:MAX_FOUND])


@dataclass(frozen=True, slots=True)
class Found:
    """A stage with the words in their context; ``url`` opens its card."""

    stage: LessonStage
    lesson: Node
    above: Sequence[Node]
    url: str
    title: Sequence[Part]
    excerpts: Sequence[Sequence[Part]]


def load(pks: Sequence[int], words: Sequence[str]) -> list[Found]:
    """Return these stages, in this order. Two queries."""
    stages = LessonStage.objects.defer("text_folded").in_bulk(list(pks))
    nodes = Node.objects.filter(pk__in={stage.lesson_id for stage in stages.values()})
    lessons = {node.pk: node for node in tree_rows.with_ancestors(nodes.order_by())}
    return [
        _found(stages[pk], lessons[stages[pk].lesson_id], words)
        for pk in pks
        if pk in stages and stages[pk].lesson_id in lessons
    ]


def _found(stage: LessonStage, lesson: Node, words: Sequence[str]) -> Found:
    page = reverse("admin:content_node_change", args=[lesson.pk])
    title, lines = plain(stage.title), words_of(stage.type, stage.config).lines
    shown: list[list[Part]] = []
    for line in lines:
        if len(shown) == _MAX_EXCERPTS:
            break
        parts = excerpt(line, words)
        if parts and parts not in shown:
            shown.append(parts)
    return Found(
        stage=stage,
        lesson=lesson,
        above=tree_rows.ancestors_of(lesson),
        url=f"{page}#{stage.public_id}",
        title=excerpt(title, words, width=300) or [Part(title, False)],
        excerpts=shown,
    )


class TextSearchPage(NodePage):
    """The view of the page."""

    def text_search_view(self, request: HttpRequest) -> HttpResponse:
        """Show the stages whose text has the words of ``?q=``."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        search = TextSearch.of(request)
        pks = search.find()
        asked = request.GET.get("p", "")
        last = max(0, (len(pks) - 1) // PAGE)
        page = min(int(asked), last) if is_key(asked) else 0
        start = page * PAGE
        shown = load(pks[start : start + PAGE], search.words) if pks else []
        subjects = Node.objects.subjects().untrashed().order_by("tree_id")
        return TemplateResponse(
            request,
            "admin/content/node/text_search.html",
            {
                **self.admin_site.each_context(request),
                "title": _("Search in lessons"),
                "opts": self.opts,
                "search": search,
                "results": shown,
                "total": len(pks),
                "is_cut": len(pks) == MAX_FOUND,
                "first": start + 1,
                "last": start + len(shown),
                "previous": page_query(request, page - 1) if page else "",
                "next": page_query(request, page + 1) if page < last else "",
                "types": stage_type_choices(),
                "subjects": [
                    (str(pk), title)
                    for pk, title in subjects.values_list("pk", "title")
                ],
                "plans": tree_annotations.choices(),
            },
        )
