"""A plan's content in the admin: what students get, why, and the plan's overrides.

The tree is a table of the expanded branches. Each row links to a small page where the
overrides on that node are set or removed. With JavaScript (`plan.js`), branches and
that page open in place; without it they are plain links.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, ngettext, pgettext

from content import products, tree_rows
from content.admin.tree_labels import unfinished_badge
from content.admin.tree_search import expanded_nodes
from content.models import Node, NodeKind
from content.tree_rows import Branch
from core.parsing import is_key
from plans import labels, queries, scheduling, services, tree_annotations
from plans.access import Override
from plans.explain import HiddenReason, NodeExplanation
from plans.models import (
    AcademicPlan,
    OverrideAction,
    OverrideAspect,
    PlanOverride,
    ScheduledChange,
)
from plans.schedule_views import entry_rows

Opened = Mapping[int, int]
"""The number of shown rows of each expanded branch, by its node's pk."""


@dataclass(frozen=True, slots=True)
class OverrideRow:
    """One override, with the ancestors of its node."""

    target: int
    title: str
    kind: str
    aspect: str
    action: str
    value: str
    text: str
    above: tuple[int, ...]
    is_in_trash: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A node as a row of the table."""

    explanation: NodeExplanation
    level: int
    kind: str
    access: SafeString
    absence: SafeString | None
    why: str
    lessons: SafeString | str
    overrides: list[OverrideRow]
    unfinished: SafeString | None
    scheduled: SafeString | None
    inside: int
    """The number of nodes inside it that have overrides."""
    is_open: bool | None
    """None if the node has no children."""
    toggle: str
    """The query string that expands or collapses it."""

    @property
    def pk(self) -> int:
        return self.explanation.node.pk


@dataclass(frozen=True, slots=True)
class MoreRows:
    """Follows the shown rows of a branch that has ``left`` more."""

    level: int
    after: int
    """The node pk of the last shown row."""
    left: int
    query: str
    """Shows the next rows; "" if the page cannot hold more."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The plan's content as its page shows it."""

    rows: list[Row | MoreRows]
    overrides: list[OverrideRow]
    opened: str
    has_subjects: bool
    empty_subjects: list[str]
    scheduled: list[ScheduledChange]


def opened(request: HttpRequest) -> dict[int, int]:
    """Parse the expanded branches from ``?open=1,2:200``, plus the path to ``at=3``.

    One or two queries if ``at`` is given, otherwise none.
    """
    found = expanded_nodes(request.GET.get("open", ""))
    at = request.GET.get("at", "")
    if is_key(at):
        nodes = tree_rows.with_ancestors(Node.objects.order_by())
        node = nodes.filter(pk=at).first()
        for parent, place in tree_rows.path_to(node) if node is not None else ():
            if parent is not None:
                rows = max(found.get(parent, tree_rows.PAGE), place)
                found[parent] = min(rows, tree_rows.MAX_ROWS)
    return found


def _as_text(opened: Opened) -> str:
    """Format ``opened`` for the query; `opened` is the inverse."""
    return ",".join(
        f"{pk}:{rows}" if rows > tree_rows.PAGE else str(pk)
        for pk, rows in sorted(opened.items())
    )


def _query(opened: Opened) -> str:
    return urlencode({"open": _as_text(opened)})


def tree(plan: AcademicPlan, opened: Opened) -> Tree:
    """Build the table. Eleven queries for any number of expanded branches."""
    subjects = queries.subject_pks(plan.pk)
    top = tree_rows.tree_page_rows(opened, roots=tree_rows.MAX_ROWS, subjects=subjects)
    top.rows.sort(key=lambda row: subjects.index(row.node.pk))
    override_rows = _override_rows(plan)
    overrides = queries.load_overrides(plan.pk)
    scheduled = scheduling.waiting_for_plan(plan, subjects)
    table = _Table(
        explanations=tree_annotations.explain_rows(
            list(tree_rows.visible_rows(top)), overrides
        ),
        overrides=overrides,
        overrides_by_target=_by_target(override_rows),
        scheduled=scheduling.badges(scheduled),
        inside=_inside(override_rows),
        opened=opened,
    )
    return Tree(
        rows=list(table.rows(top, 0)),
        overrides=override_rows,
        opened=_as_text(opened),
        has_subjects=bool(subjects),
        empty_subjects=[row.node.title for row in top.rows if not row.lessons],
        scheduled=scheduled,
    )


_ABOVE = [f"target{'__parent' * steps}" for steps in range(1, 5)]


def _override_rows(plan: AcademicPlan) -> list[OverrideRow]:
    """Return all overrides of the plan, in tree order. One query."""
    rows = PlanOverride.objects.filter(plan=plan).order_by(
        "target__tree_id", "target__lft", "pk"
    )
    values = rows.values_list(
        "target_id",
        "target__title",
        "target__kind",
        "aspect",
        "action",
        "value",
        "target__trashed_at",
        *(f"{path}_id" for path in _ABOVE),
        *(f"{path}__trashed_at" for path in _ABOVE),
    )
    return [
        OverrideRow(
            target=target,
            title=title,
            kind=str(NodeKind(kind).label),
            aspect=aspect,
            action=action,
            value=value,
            text=labels.action_text(action, value),
            above=tuple(pk for pk in rest[: len(_ABOVE)] if pk is not None),
            is_in_trash=trashed is not None or any(rest[len(_ABOVE) :]),
        )
        for target, title, kind, aspect, action, value, trashed, *rest in values
    ]


def _by_target(rows: Sequence[OverrideRow]) -> dict[int, list[OverrideRow]]:
    found: dict[int, list[OverrideRow]] = defaultdict(list)
    for one in rows:
        found[one.target].append(one)
    return found


def _inside(rows: Sequence[OverrideRow]) -> Counter[int]:
    """Count the nodes with overrides inside each node, by pk."""
    targets = {one.target: one for one in rows if not one.is_in_trash}
    return Counter(pk for target in targets.values() for pk in target.above)


@dataclass(frozen=True, slots=True)
class _Table:
    """The data that the rows are built from."""

    explanations: Mapping[int, NodeExplanation]
    overrides: Mapping[int, Override]
    overrides_by_target: Mapping[int, list[OverrideRow]]
    scheduled: Mapping[int, SafeString]
    inside: Mapping[int, int]
    opened: Opened

    def rows(self, branch: Branch, level: int) -> Iterator[Row | MoreRows]:
        """Yield the rows of ``branch`` and of expanded branches inside it, in order."""
        for row in branch.rows:
            yield self._row(row, level)
            if row.branch is not None:
                yield from self.rows(row.branch, level + 1)
        if branch.left > 0 and branch.parent is not None:
            shown = len(branch.rows)
            more = _query({**self.opened, branch.parent.pk: shown + tree_rows.PAGE})
            yield MoreRows(
                level=level,
                after=branch.rows[-1].node.pk,
                left=branch.left,
                query=more if shown < tree_rows.MAX_ROWS else "",
            )

    def _row(self, row: tree_rows.Row, level: int) -> Row:
        explanation = self.explanations[row.node.pk]
        is_open = row.branch is not None
        others = {pk: rows for pk, rows in self.opened.items() if pk != row.node.pk}
        toggled = others if is_open else {**others, row.node.pk: tree_rows.PAGE}
        return Row(
            explanation=explanation,
            level=level,
            kind=row.node.get_kind_display(),
            access=labels.access_badge(explanation.access),
            absence=labels.absence_badge(explanation) if explanation.absent else None,
            why=tree_annotations.why(row, explanation, self.overrides),
            lessons=(
                ""
                if row.node.kind == NodeKind.LESSON
                else labels.lesson_count_text(explanation.lessons, explanation.total)
            ),
            overrides=self.overrides_by_target.get(row.node.pk, []),
            unfinished=unfinished_badge() if row.is_unfinished else None,
            scheduled=self.scheduled.get(row.node.pk),
            inside=self.inside.get(row.node.pk, 0),
            is_open=is_open if row.is_holding else None,
            toggle=_query(toggled),
        )


# --- Pages ----------------------------------------------------------------------------


class ContentPages:
    """Mixin for the `ModelAdmin` of plans: the content tree and the override pages."""

    def get_urls(self) -> list[URLPattern]:
        parent: Any = super()
        admin: Any = self
        own = (
            ("content/", self.content_view, "plans_content"),
            ("content/<int:node_pk>/", self.override_view, "plans_override"),
        )
        pages = [
            path(f"<int:plan_pk>/{route}", admin.admin_site.admin_view(view), name=name)
            for route, view, name in own
        ]
        return [*pages, *parent.get_urls()]

    def may_override(self, request: HttpRequest, plan: AcademicPlan) -> bool:
        """Whether the user may change the plan's overrides."""
        admin: Any = self
        user: Any = request.user
        return admin.has_change_permission(request, plan) and all(
            user.has_perm(f"plans.{do}_planoverride")
            for do in ("add", "change", "delete")
        )

    def content_context(
        self, request: HttpRequest, plan: AcademicPlan
    ) -> dict[str, Any]:
        """Return the template context of the tree."""
        shown = tree(plan, opened(request))
        return {
            "plan": plan,
            "tree": shown,
            "scheduled": entry_rows(request.user, shown.scheduled),
            "may_schedule": scheduling.may_schedule(
                request.user, has_node=False, has_plan=True
            ),
            "may_override": self.may_override(request, plan),
            "plan_texts": labels.script_texts(),
        }

    def content_view(self, request: HttpRequest, plan_pk: int) -> HttpResponse:
        """Render the tree alone, for the script."""
        admin: Any = self
        plan = get_object_or_404(AcademicPlan, pk=plan_pk)
        if not admin.has_view_permission(request, plan):
            raise PermissionDenied
        context = self.content_context(request, plan)
        return TemplateResponse(request, "admin/plans/content_tree.html", context)

    def override_view(
        self, request: HttpRequest, plan_pk: int, node_pk: int
    ) -> HttpResponse:
        """Show or change the overrides on a node: a page, or a part for the script.

        A POST sets an override (``action`` and its value) or removes one (``remove``,
        an aspect). ``seen`` is the `services.version_of` what the page showed: if
        another editor has changed the overrides since, nothing is changed.
        """
        plan = get_object_or_404(AcademicPlan, pk=plan_pk)
        if not self.may_override(request, plan):
            raise PermissionDenied
        subjects = queries.subject_pks(plan.pk)
        within = Node.objects.filter(
            Q(pk__in=subjects) | Q(subject_id__in=subjects)
        ).order_by()
        node = get_object_or_404(tree_rows.with_ancestors(within), pk=node_pk)
        refusal = ""
        if request.method == "POST":
            try:
                message = _change(plan, node, request.POST)
            except ValidationError as error:
                refusal = " ".join(error.messages)
            else:
                return self._changed(request, plan, node, message)
        return self._override_page(request, plan, node, refusal)

    def _changed(
        self, request: HttpRequest, plan: AcademicPlan, node: Node, message: str
    ) -> HttpResponse:
        if _is_script(request):
            return JsonResponse({"message": message})
        messages.success(request, message)
        page = reverse("admin:plans_academicplan_change", args=[plan.pk])
        return HttpResponseRedirect(f"{page}?at={node.pk}#node-{node.pk}")

    def _override_page(
        self, request: HttpRequest, plan: AcademicPlan, node: Node, refusal: str
    ) -> HttpResponse:
        admin: Any = self
        row, explanation, overrides = _explained(plan, node)
        own = _by_target(_override_rows(plan))[node.pk]
        context = {
            **admin.admin_site.each_context(request),
            "title": node.title,
            "opts": admin.opts,
            "plan": plan,
            "node": node,
            "explanation": explanation,
            "is_lesson": node.kind == NodeKind.LESSON,
            "lessons": explanation.total,
            "access": labels.access_badge(explanation.access),
            "absence": labels.absence_badge(explanation)
            if explanation.absent
            else None,
            "why": tree_annotations.why(row, explanation, overrides),
            "overrides": own,
            "seen": services.version_of((one.action, one.value) for one in own),
            "levels": [
                (level.value, word, labels.LEVEL_MEANINGS[level])
                for level, word in labels.LEVELS.items()
            ],
            "refusal": refusal,
            "posted": request.POST,
        }
        name = "override_form" if _is_script(request) else "override"
        page = TemplateResponse(request, f"admin/plans/{name}.html", context)
        page.status_code = 400 if refusal else 200
        return page


def _explained(
    plan: AcademicPlan, node: Node
) -> tuple[tree_rows.Row, NodeExplanation, dict[int, Override]]:
    """Explain ``node`` in the plan; return its row and the overrides. Seven queries."""
    [row] = tree_rows.rows_of([node])
    overrides = queries.load_overrides(plan.pk)
    return row, tree_annotations.explain_rows([row], overrides)[node.pk], overrides


def _is_script(request: HttpRequest) -> bool:
    return request.headers.get("X-Requested-With") == "fetch"


def _change(plan: AcademicPlan, node: Node, posted: Mapping[str, str]) -> str:
    """Apply the posted change; return a message about its effect.

    Raises:
        ValidationError: the change is refused; the message gives the reason.
    """
    seen = posted.get("seen", "")
    if aspect := posted.get("remove"):
        if aspect not in OverrideAspect.values:
            raise ValidationError(_("Choose an override."))
        removed = services.remove_override(
            plan=plan, target=node, aspect=aspect, seen=seen
        )
        if removed is None:
            return _("Nothing to change.")
        return _removal_effect(plan, node, removed)
    action = posted.get("action", "")
    if action not in OverrideAction.values:
        raise ValidationError(_("Choose an override."))
    value = posted.get(f"value_{action}", "").strip()
    if action == OverrideAction.SET_SOLD_SEPARATELY and value:
        products.require_known(value)
    services.set_override(plan=plan, target=node, action=action, value=value, seen=seen)
    return _effect(plan, node, action, value)


def _removal_effect(plan: AcademicPlan, node: Node, removed: PlanOverride) -> str:
    """Describe what students get without the override, and the remaining overrides."""
    text = labels.action_text(removed.action, removed.value)
    messages = [_("Override removed: %(what)s.") % {"what": text}]
    if removed.aspect == OverrideAspect.TITLE:
        message = _("This plan's students see “%(title)s” again.")
        messages.append(message % {"title": node.title})
    elif removed.aspect == OverrideAspect.LINEAR:
        messages.append(_effect(plan, node, OverrideAction.SET_LINEAR))
    else:
        messages.append(_effect(plan, node, OverrideAction.SET_ACCESS_LEVEL))
    remaining = PlanOverride.objects.filter(plan=plan, target=node)
    if others := [labels.action_text(row.action, row.value) for row in remaining]:
        still = _("This plan still has these overrides of it: %(words)s.")
        messages.append(still % {"words": pgettext("list", ", ").join(others)})
    return " ".join(messages)


def _effect(plan: AcademicPlan, node: Node, action: str, value: str = "") -> str:
    """Describe the effect for students, so that a mistake is noticed at once."""
    title = {"title": node.title}
    _row, explanation, _overrides = _explained(plan, node)
    match action:
        case OverrideAction.HIDE:
            effect = ngettext(
                "“%(title)s” is hidden: %(count)d lesson will leave this plan at the "
                "next publish.",
                "“%(title)s” is hidden: %(count)d lessons will leave this plan at the "
                "next publish.",
                explanation.total,
            )
            return effect % {**title, "count": explanation.total}
        case OverrideAction.SET_LINEAR:
            return (
                _("The entries inside “%(title)s” now open one after another.")
                if explanation.is_linear
                else _("The entries inside “%(title)s” now open in any order.")
            ) % title
        case OverrideAction.RENAME:
            return _(
                "This plan's students now see “%(new)s” instead of “%(title)s”."
            ) % {
                **title,
                "new": value,
            }
    if explanation.absent not in (None, HiddenReason.EMPTY):
        return (
            _(
                "Saved. “%(title)s” is still not visible to students, for another reason."
            )
            % title
        )
    effect = _("“%(title)s” is now: %(access)s.")
    return effect % {**title, "access": labels.access_text(explanation.access)}
