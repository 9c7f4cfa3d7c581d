"""Previews of a lesson, a topic or a plan as students see it, draft or published.

A lesson is also shown as it was at an earlier time.

Each preview is two pages: an admin page with the choices, and in its frame, as wide as
a phone or a desktop, a page that shows the documents as the app would. Editors wrote
the content, so the page runs only our own scripts and only our own pages may frame it
(`preview_parts.content_security_policy`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from content.kinds import Kind
from content.models import Node
from content.queries import load_earlier_lesson, load_lesson
from core import folding
from core.badges import LOCK, badge
from core.parsing import parse_time, whole_number
from plans.models import AcademicPlan
from publishing.admin_views import live_preview_views
from publishing.admin_views.preview_parts import (
    View,
    language_and_direction,
    require_view,
    ui_texts,
    with_security_headers,
)
from publishing.building import draft_documents
from publishing.building.draft_documents import (
    Document,
    Documents,
    DraftDocuments,
    PublishedDocuments,
)
from publishing.format import locations


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the preview's URL patterns, below the admin's own URL."""
    pages: list[tuple[str, View, str]] = [
        ("live/", live_preview_views.live, "preview_live"),
        ("blank/", live_preview_views.blank, "preview_blank"),
    ]
    for kind, screen in _SCREENS.items():
        pages += [
            (f"{kind}/<str:public_id>/", _outer_page(kind), f"preview_{kind}"),
            (f"{kind}/<str:public_id>/app/", _inner_page(kind, screen), f"app_{kind}"),
        ]
    return [
        path(f"preview/{route}", site.admin_view(view), name=name)
        for route, view, name in pages
    ]


# --- The choice of plan and state -----------------------------------------------------

_GENERATION = "generation-"
_EARLIER = "earlier-"


@dataclass(frozen=True, slots=True)
class Choice:
    """The choice of plan, and of its draft, its published or its earlier content.

    ``state`` is ``draft``, ``published``, ``generation-`` with the number of a kept
    generation or, for lessons, ``earlier-`` with a time in ISO 8601.
    """

    plan: AcademicPlan | None
    plans: tuple[AcademicPlan, ...]
    state: str

    @property
    def published(self) -> bool:
        """Whether files that were published are shown."""
        return self.state == "published" or self.generation is not None

    @property
    def generation(self) -> int | None:
        """The number of the kept generation that is shown."""
        return whole_number(self.state.removeprefix(_GENERATION))

    @property
    def moment(self) -> datetime | None:
        """The time whose version of the lesson is shown."""
        return parse_time(self.state.removeprefix(_EARLIER))

    @property
    def plan_id(self) -> str:
        """The plan's id in the paths of documents."""
        return self.plan.public_id if self.plan else draft_documents.NO_PLAN.id

    @property
    def query(self) -> str:
        chosen = {"state": self.state}
        if self.plan is not None:
            chosen["plan"] = self.plan.public_id
        return urlencode(chosen)

    def documents(self, branch: Node | None = None) -> Documents:
        if self.published:
            return PublishedDocuments(self.generation)
        return DraftDocuments(self.plan, branch)


def _choice(request: HttpRequest, node: Node) -> Choice:
    """Return the choice in the request's query; ``plan`` is a public id or a key.

    Without a valid plan: the first plan with this content, published plans first.
    """
    plans: tuple[AcademicPlan, ...] = ()
    if request.user.has_perm("plans.view_academicplan"):
        holding = AcademicPlan.objects.select_related("season", "grade", "stream")
        holding = holding.filter(subjects=node.subject_pk)
        plans = tuple(holding.order_by("-is_published", "title", "pk"))
    plan_id = request.GET.get("plan", "")
    chosen = [plan for plan in plans if plan_id in (plan.public_id, str(plan.pk))]
    chosen = chosen or list(plans[:1])
    return Choice(
        plan=chosen[0] if chosen else None,
        plans=plans,
        state=_state(request),
    )


def _state(request: HttpRequest) -> str:
    """Return the state in the request's query; ``draft`` for anything else.

    Raises:
        PermissionDenied: a kept generation, which the user may not view.
    """
    state = request.GET.get("state", "")
    number = whole_number(state.removeprefix(_GENERATION))
    if state.startswith(_GENERATION) and number is not None:
        if not request.user.has_perm("publishing.view_publication"):
            raise PermissionDenied
        return f"{_GENERATION}{number}"
    moment = parse_time(state.removeprefix(_EARLIER))
    if state.startswith(_EARLIER) and moment is not None:
        return f"{_EARLIER}{moment.isoformat()}"
    return "published" if state == "published" else "draft"


def _node(kind: str, public_id: str) -> Node:
    nodes = Node.objects.select_related("parent")
    found: Node = get_object_or_404(nodes, kind=kind, public_id=public_id)
    return found


def _chosen(
    request: HttpRequest, kind: str, public_id: str
) -> tuple[Node | AcademicPlan, Choice]:
    """Return the previewed object and the choice.

    Raises:
        Http404: the object does not exist.
        PermissionDenied: the user may not view it.
    """
    require_view(request, plan=kind == "plan")
    if kind == "plan":
        plan = get_object_or_404(AcademicPlan, public_id=public_id)
        return plan, Choice(plan=plan, plans=(plan,), state=_state(request))
    node = _node(kind, public_id)
    return node, _choice(request, node)


# --- The outer page -------------------------------------------------------------------


def _outer_page(kind: str) -> View:
    @require_safe
    @with_security_headers
    def page(request: HttpRequest, public_id: str) -> HttpResponse:
        """Render the admin page with the choices and the frame."""
        shown, choice = _chosen(request, kind, public_id)
        inside = reverse(f"admin:app_{kind}", args=[public_id])
        context = {
            **admin.site.each_context(request),
            "title": _("Preview as a student"),
            "shown": shown,
            "choice": choice,
            "frame": f"{inside}?{choice.query}",
            "edit_url": _edit_url(request, shown),
        }
        return TemplateResponse(request, "preview/shell.html", context)

    return page


def _edit_url(request: HttpRequest, shown: Node | AcademicPlan) -> str:
    meta = shown._meta
    if not request.user.has_perm(f"{meta.app_label}.view_{meta.model_name}"):
        return ""
    name = f"admin:{meta.app_label}_{meta.model_name}_change"
    return reverse(name, args=[shown.pk])


# --- The inner page -------------------------------------------------------------------


Screen = Callable[[HttpRequest, Any, Choice], tuple[str, dict[str, Any]]]


def _inner_page(kind: str, screen: Screen) -> View:
    @require_safe
    @xframe_options_sameorigin
    @with_security_headers
    def page(request: HttpRequest, public_id: str) -> HttpResponse:
        """Render the content as the app would."""
        shown, choice = _chosen(request, kind, public_id)
        template, context = screen(request, shown, choice)
        base = {"title": shown.title, "query": choice.query, "choice": choice}
        return TemplateResponse(request, template, {**base, **context})

    return page


def _plan(
    _request: HttpRequest, plan: AcademicPlan, choice: Choice
) -> tuple[str, dict[str, Any]]:
    documents = choice.documents()
    manifest = documents.read(locations.manifest(plan.public_id))
    if manifest is None:
        return _missing(choice)
    subjects = []
    for entry in manifest["subjects"]:
        hierarchy = documents.read(entry["hierarchy_path"])
        if hierarchy is not None:
            subjects.append({**_entry(entry), "hierarchy": _hierarchy(hierarchy)})
    return "preview/plan.html", {"manifest": manifest, "subjects": subjects}


def _topic(
    _request: HttpRequest, topic: Node, choice: Choice
) -> tuple[str, dict[str, Any]]:
    path = locations.topic(choice.plan_id, topic.public_id)
    document, notice = _document(path, topic, choice)
    if document is None:
        return _missing(choice)
    return "preview/topic.html", {
        "topic": document,
        "notice": notice,
        "badge": access_badge(document["access"]),
        "lessons": _with_unlocks(document["lessons"], linear=document["is_linear"]),
        **language_and_direction(topic),
    }


def _lesson(
    _request: HttpRequest, lesson: Node, choice: Choice
) -> tuple[str, dict[str, Any]]:
    document = _lesson_document(lesson, choice)
    if document is None:
        return _missing(choice)
    assert lesson.parent is not None
    path = locations.topic(choice.plan_id, lesson.parent.public_id)
    topic = choice.documents(lesson).read(path) or {"lessons": []}
    found = [one for one in topic["lessons"] if one["id"] == lesson.public_id]
    entry = found[0] if found else None
    return "preview/lesson.html", {
        "document": document,
        "texts": ui_texts(),
        "folding": folding.tables(),
        "badge": access_badge(entry["access"]) if entry else "",
        "is_hidden": choice.plan is not None and entry is None,
        "title": document["title"],
        "topic": lesson.parent,
        # Only the lesson is shown as it was.
        "query": (replace(choice, state="draft") if choice.moment else choice).query,
        **language_and_direction(lesson),
    }


def _lesson_document(lesson: Node, choice: Choice) -> Document | None:
    if choice.published:
        return draft_documents.published_lesson(lesson.public_id)
    if choice.moment is None:
        return draft_documents.lesson_document(load_lesson(lesson))
    earlier = load_earlier_lesson(lesson, choice.moment)
    return None if earlier is None else draft_documents.lesson_document(earlier)


def _branch(
    _request: HttpRequest, node: Node, choice: Choice
) -> tuple[str, dict[str, Any]]:
    """Show a subject, or the part of it above and below a track or a unit."""
    subject = node.get_root()
    path = locations.hierarchy(choice.plan_id, subject.public_id)
    document, notice = _document(path, node, choice)
    if document is not None:
        _keep_branch(document, node)
    if document is None or not (node.kind == Kind.SUBJECT or document["tracks"]):
        return _missing(choice)
    shown = {**_entry(document), "hierarchy": _hierarchy(document)}
    return "preview/plan.html", {
        "manifest": {"title": node.title},
        "notice": notice,
        "subjects": [shown],
    }


def _keep_branch(hierarchy: Document, node: Node) -> None:
    """Remove from ``hierarchy`` all but the branch of a track or a unit."""
    if node.kind == Kind.UNIT:
        for track in hierarchy["tracks"]:
            units = track["units"]
            track["units"] = [unit for unit in units if unit["id"] == node.public_id]
    hierarchy["tracks"] = [
        track
        for track in hierarchy["tracks"]
        if node.kind == Kind.SUBJECT
        or (track["units"] if node.kind == Kind.UNIT else track["id"] == node.public_id)
    ]


def _document(path: str, node: Node, choice: Choice) -> tuple[Document | None, str]:
    """Return the document and a notice.

    If students would not get the draft, return the document as it will be once all of
    it is published; the notice gives the reason.
    """
    if choice.published:
        return PublishedDocuments().read(path), ""
    documents = DraftDocuments(choice.plan, node)
    if choice.plan is not None and documents.offers(node):
        return documents.read(path), ""
    documents = DraftDocuments(choice.plan, node, as_if_published=True)
    if not documents.offers(node):
        return None, ""
    if choice.plan is None:
        notice = _(
            "This subject is not in any plan yet. The preview shows how it would look "
            "in a plan."
        )
    else:
        notice = _(
            "Students of “%(plan)s” do not see this yet: it, or an entry above or "
            "inside it, is a draft. The preview shows how it looks when everything is "
            "published."
        ) % {"plan": choice.plan.title}
    return documents.read(path), notice


def _missing(choice: Choice) -> tuple[str, dict[str, Any]]:
    if choice.published:
        why = _("This is not published in this plan yet. Show the draft instead.")
    elif choice.moment:
        why = _("The history has no version of this lesson at that time.")
    else:
        why = _(
            "Students of this plan will not see this: it contains no lessons, or it "
            "or an entry above it is hidden or in the trash."
        )
    return "preview/unavailable.html", {"why": why}


_SCREENS: dict[str, Screen] = {
    "subject": _branch,
    "track": _branch,
    "unit": _branch,
    "topic": _topic,
    "lesson": _lesson,
    "plan": _plan,
}


# --- Presentation of entries ----------------------------------------------------------


def access_badge(access: Document) -> SafeString:
    """Format the access level of a document as a badge."""
    match access["access_level"]:
        case "public":
            return badge("◇", _("Public"), "action")
        case "free_preview":
            return badge("★", _("Free preview"), "done")
        case "paid":
            item = access.get("required_item", "")
            why = _("Students need the product %(item)s.") % {"item": item or "–"}
            return badge(LOCK, _("Paid"), "waiting", why=why)
    return badge("○", _("Signed in"), "quiet")


def _entry(entry: Document) -> Document:
    return {**entry, "badge": access_badge(entry["access"])}


def _with_unlocks(entries: list[Document], *, linear: bool) -> list[Document]:
    """Return entries with badges; if linear, each with the entry that unlocks it."""
    shown, before = [], ""
    for entry in entries:
        opens_after = before if linear else ""
        shown.append({**_entry(entry), "opens_after": opens_after, "lock": LOCK})
        before = entry["title"]
    return shown


def _hierarchy(document: Document) -> list[Document]:
    """Return the tracks of a subject's hierarchy for the template."""
    tracks = _with_unlocks(document["tracks"], linear=document["is_linear"])
    for track in tracks:
        track["units"] = _with_unlocks(track["units"], linear=track["is_linear"])
        for unit in track["units"]:
            unit["topics"] = _with_unlocks(unit["topics"], linear=unit["is_linear"])
    return tracks
