"""A plan's content in the admin: what its students get, why, and what the plan may say.

The tree is a table of the branches somebody opened; each row leads to a small page
where the plan's word on that node is set or taken back. A script, where there is one,
opens branches and that page in place (`plan.js`); without it both are plain links.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, ngettext

from content.kinds import Kind
from content.models import Node, NodeKind
from content.tree import ContentNode
from plans import queries, services, wording
from plans.access import Override
from plans.explain import Absence, Explained, explain
from plans.models import AcademicPlan, OverrideAction, PlanOverride

_KINDS = dict(NodeKind.choices)


@dataclass(frozen=True, slots=True)
class Said:
    """One thing the plan says of a node."""

    aspect: str
    words: str


@dataclass(frozen=True, slots=True)
class Row:
    """A node as the table shows it."""

    said: Explained
    level: int
    kind: str
    access: SafeString
    absence: SafeString | None
    why: str
    lessons: SafeString | str
    overrides: list[Said]
    is_open: bool | None
    """None where nothing lies inside."""
    toggle: str
    """The query that opens it, or closes it."""

    @property
    def pk(self) -> int:
        return self.said.node.pk


@dataclass(frozen=True, slots=True)
class Spoken:
    """An override in the list above the tree, and the way to its row."""

    target: int
    title: str
    kind: str
    words: str
    way: str


@dataclass(frozen=True, slots=True)
class Tree:
    """What the plan's page shows of its content."""

    rows: list[Row]
    spoken: list[Spoken]
    has_subjects: bool
    empty_subjects: list[str]


def opened(request: HttpRequest) -> frozenset[int]:
    """The branches to show, from ``?open=1,2``."""
    asked = request.GET.get("open", "").split(",")
    return frozenset(int(pk) for pk in asked if pk.isdecimal() and len(pk) < 19)


def tree(plan: AcademicPlan, opened: frozenset[int]) -> Tree:
    """The table. Seven queries at most, however much is open.

    A subject is read when it is open; of one that is closed, only its own row.
    """
    overrides = queries.load_overrides(plan.pk)
    said = _said(plan)
    subjects = queries.subject_pks(plan.pk)
    shut = [pk for pk in subjects if pk not in opened]
    outlines = queries.load_outlines([pk for pk in subjects if pk in opened])
    outlines |= queries.load_subject_rows(shut)
    counts = _lesson_counts(subjects)
    rows: list[Row] = []
    for pk in subjects:
        if (root := outlines.get(pk)) is not None:
            found = explain(root, overrides)
            page = _Rows(found, said, opened, counts, _overridden(found))
            rows += page.below(root, 0, {})
    return Tree(
        rows=rows,
        spoken=_spoken(plan),
        has_subjects=bool(subjects),
        empty_subjects=[
            outlines[pk].title for pk in subjects if pk in outlines and not counts[pk]
        ],
    )


def _overridden(found: Mapping[int, Explained]) -> dict[str, Override]:
    """What the plan says of each node it speaks of, by id."""
    return {
        said.node.id: said.override
        for said in found.values()
        if said.override != Override()
    }


def _said(plan: AcademicPlan) -> dict[int, list[Said]]:
    found: dict[int, list[Said]] = {}
    for row in PlanOverride.objects.filter(plan=plan).order_by("pk"):
        words = wording.action_in_words(row.action, row.value)
        found.setdefault(row.target_id, []).append(Said(row.aspect, words))
    return found


def _lesson_counts(subject_pks: Sequence[int]) -> dict[int, int]:
    """Lessons of each subject that are not in the trash themselves. One query."""
    rows = Node.objects.untrashed().filter(
        subject_id__in=subject_pks, kind=NodeKind.LESSON
    )
    counted = dict(rows.order_by().values_list("subject_id").annotate(Count("pk")))
    return {pk: counted.get(pk, 0) for pk in subject_pks}


def _spoken(plan: AcademicPlan) -> list[Spoken]:
    """Everything the plan says, in tree order. One query."""
    above = [f"target{'__parent' * steps}_id" for steps in range(1, 5)]
    rows = PlanOverride.objects.filter(plan=plan).order_by(
        "target__tree_id", "target__lft", "pk"
    )
    spoken = []
    for target, title, kind, action, value, *parents in rows.values_list(
        "target_id", "target__title", "target__kind", "action", "value", *above
    ):
        way = ",".join(str(pk) for pk in parents if pk is not None)
        words = wording.action_in_words(action, value)
        spoken.append(Spoken(target, title, str(_KINDS[kind]), words, way))
    return spoken


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of one subject."""

    found: Mapping[int, Explained]
    said: Mapping[int, list[Said]]
    opened: frozenset[int]
    counts: Mapping[int, int]
    spoken: Mapping[str, Override]

    def below(
        self, node: ContentNode, level: int, titles: Mapping[str, str]
    ) -> Iterator[Row]:
        """``node``'s row and, where it is open, those below; not the trash's."""
        said = self.found[node.pk]
        if node.is_trashed and not self.said.get(node.pk):
            return
        titles = {**titles, node.id: said.title}
        is_open = node.pk in self.opened
        yield self._row(said, level, titles, is_open=is_open)
        if is_open:
            for child in node.children:
                yield from self.below(child, level + 1, titles)

    def _row(
        self, said: Explained, level: int, titles: Mapping[str, str], *, is_open: bool
    ) -> Row:
        node = said.node
        holds = bool(node.children) or (
            node.kind is Kind.SUBJECT and bool(self.counts.get(node.pk))
        )
        is_shut_subject = node.kind is Kind.SUBJECT and not node.children
        total = self.counts[node.pk] if is_shut_subject else said.total
        seen = total if is_shut_subject else said.lessons
        branches = self.opened ^ {node.pk}
        return Row(
            said=said,
            level=level,
            kind=str(_KINDS[node.kind.value]),
            access=wording.access_badge(said.access),
            absence=wording.absence_badge(said) if said.absent else None,
            why=wording.why(said, titles, self.spoken),
            lessons=(
                ""
                if node.kind is Kind.LESSON
                else wording.lessons_in_words(seen, total)
            ),
            overrides=self.said.get(node.pk, []),
            is_open=is_open if holds else None,
            toggle=urlencode({"open": ",".join(map(str, sorted(branches)))}),
        )


# --- The pages --------------------------------------------------------------


class ContentPages:
    """For the plans' `ModelAdmin`: the tree, and what the plan says of a node."""

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
        """Whether this person may change what the plan says of its content."""
        admin: Any = self
        user: Any = request.user
        return admin.has_change_permission(request, plan) and all(
            user.has_perm(f"plans.{do}_planoverride")
            for do in ("add", "change", "delete")
        )

    def content_context(
        self, request: HttpRequest, plan: AcademicPlan
    ) -> dict[str, Any]:
        """What the tree's template needs."""
        return {
            "plan": plan,
            "tree": tree(plan, opened(request)),
            "may_override": self.may_override(request, plan),
        }

    def content_view(self, request: HttpRequest, plan_pk: int) -> HttpResponse:
        """The tree alone, for the script."""
        admin: Any = self
        plan = get_object_or_404(AcademicPlan, pk=plan_pk)
        if not admin.has_view_permission(request, plan):
            raise PermissionDenied
        context = self.content_context(request, plan)
        return TemplateResponse(request, "admin/plans/content.html", context)

    def override_view(
        self, request: HttpRequest, plan_pk: int, node_pk: int
    ) -> HttpResponse:
        """What the plan says of a node: a page, or a part of one for the script.

        A POST says something (``action`` and its value) or takes it back (``remove``,
        an aspect).
        """
        plan = get_object_or_404(AcademicPlan, pk=plan_pk)
        if not self.may_override(request, plan):
            raise PermissionDenied
        subjects = plan.subjects.values("pk")
        within = Node.objects.filter(pk__in=subjects) | Node.objects.filter(
            subject_id__in=subjects
        )
        node = get_object_or_404(within, pk=node_pk)
        refusal = ""
        if request.method == "POST":
            try:
                said = _change(plan, node, request.POST)
            except ValidationError as error:
                refusal = " ".join(error.messages)
            except IntegrityError:
                refusal = _(
                    "Somebody else said something of it a moment ago. Look again."
                )
            else:
                return self._changed(request, plan, node, said)
        return self._override_page(request, plan, node, refusal)

    def _changed(
        self, request: HttpRequest, plan: AcademicPlan, node: Node, said: str
    ) -> HttpResponse:
        if _is_script(request):
            return JsonResponse({"message": said})
        messages.success(request, said)
        way = ",".join(str(above.pk) for above in node.get_ancestors())
        page = reverse("admin:plans_academicplan_change", args=[plan.pk])
        return HttpResponseRedirect(f"{page}?{urlencode({'open': way})}#node-{node.pk}")

    def _override_page(
        self, request: HttpRequest, plan: AcademicPlan, node: Node, refusal: str
    ) -> HttpResponse:
        admin: Any = self
        root = queries.load_outlines([node.subject_pk])[node.subject_pk]
        overrides = queries.load_overrides(plan.pk)
        found = explain(root, overrides)
        above = {n.public_id: n.title for n in node.get_ancestors(include_self=True)}
        said = found[node.pk]
        context = {
            **admin.admin_site.each_context(request),
            "title": node.title,
            "opts": admin.opts,
            "plan": plan,
            "node": node,
            "said": said,
            "is_lesson": node.kind == NodeKind.LESSON,
            "lessons": said.total,
            "access": wording.access_badge(said.access),
            "absence": wording.absence_badge(said) if said.absent else None,
            "why": wording.why(said, above, _overridden(found)),
            "overrides": _said(plan).get(node.pk, []),
            "levels": [
                (level.value, word, wording.LEVEL_MEANINGS[level])
                for level, word in wording.LEVELS.items()
            ],
            "refusal": refusal,
            "posted": request.POST,
        }
        name = "override_form" if _is_script(request) else "override"
        page = TemplateResponse(request, f"admin/plans/{name}.html", context)
        page.status_code = 400 if refusal else 200
        return page


def _is_script(request: HttpRequest) -> bool:
    return request.headers.get("X-Requested-With") == "fetch"


def _change(plan: AcademicPlan, node: Node, posted: Mapping[str, str]) -> str:
    """Do what was asked; what it comes to, in words.

    Raises:
        ValidationError: why not.
    """
    if aspect := posted.get("remove"):
        services.remove_override(plan=plan, target=node, aspect=aspect)
        return _("“%(title)s” is again as it is in every plan.") % {"title": node.title}
    action = posted.get("action", "")
    if action not in OverrideAction.values:
        raise ValidationError(_("Choose what this plan should say."))
    value = posted.get(f"value_{action}", "").strip()
    services.set_override(plan=plan, target=node, action=action, value=value)
    return _effect(plan, node, action, value)


def _effect(plan: AcademicPlan, node: Node, action: str, value: str) -> str:
    """What students will get, so that a slip is seen at once."""
    title = {"title": node.title}
    root = queries.load_outlines([node.subject_pk])[node.subject_pk]
    said = explain(root, queries.load_overrides(plan.pk))[node.pk]
    match action:
        case OverrideAction.HIDE:
            effect = ngettext(
                "“%(title)s” is hidden: %(count)d lesson leaves this plan at the next "
                "publish.",
                "“%(title)s” is hidden: %(count)d lessons leave this plan at the next "
                "publish.",
                said.total,
            )
            return effect % {**title, "count": said.total}
        case OverrideAction.SET_LINEAR:
            return (
                _("What lies in “%(title)s” now opens one after another.")
                if said.is_linear
                else _("What lies in “%(title)s” now opens in any order.")
            ) % title
        case OverrideAction.RENAME:
            return _("This plan's students now read “%(new)s” for “%(title)s”.") % {
                **title,
                "new": value,
            }
    if said.absent not in (None, Absence.EMPTY):
        return _("Saved. Students do not see “%(title)s” for another reason.") % title
    effect = _("“%(title)s” is now: %(access)s.")
    return effect % {**title, "access": wording.access_in_words(said.access)}
