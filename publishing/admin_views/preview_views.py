"""Previews of a lesson, a topic or a plan as students see it, draft or published.

Each preview is two pages: an admin page with the choices, and in its frame, as wide as
a phone or a desktop, a page that shows the documents as the app would. Editors wrote
the content, so the page runs only our own scripts (`content_security_policy`) and only our own pages may
frame it.
"""

import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_POST, require_safe

from content.json_errors import Fault
from content.kinds import Kind
from content.models import Node, SubjectState
from content.queries import content_node, load_lesson
from content.stage_configs import (
    MAX_LESSON_BYTES,
    ConfigError,
    byte_size,
    clean,
    lesson_size_fault,
    repeated_item_fault,
    repeated_items,
)
from content.tree import Stage
from core import json_limits
from core.badges import LOCK, badge
from core.fields import CanonicalJSONEncoder
from core.parsing import whole_number
from plans.models import AcademicPlan
from publishing.building import draft_documents
from publishing.building.draft_documents import (
    Document,
    Documents,
    DraftDocuments,
    PublishedDocuments,
)
from publishing.content_urls import content_base_url, local_base_url
from publishing.format import locations
from publishing.models import PublishingSettings

View = Callable[..., HttpResponse]

_MAX_STAGES = 500
MAX_BYTES = 2 * MAX_LESSON_BYTES
"""Twice a lesson's limit: titles, and parts of configs that saving would remove."""


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the preview's URL patterns, below the admin's own URL."""
    pages: list[tuple[str, View, str]] = [
        ("live/", live, "preview_live"),
        ("blank/", blank, "preview_blank"),
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


# --- Permissions and security headers -------------------------------------------------


def require_view(request: HttpRequest, *, plan: bool = False) -> None:
    """Check that the user may view the previewed content.

    Raises:
        PermissionDenied: the user may not view content, or with ``plan``, plans.
    """
    permissions = ["content.view_node", *(["plans.view_academicplan"] if plan else [])]
    if not request.user.has_perms(permissions):
        raise PermissionDenied


def with_security_headers(view: View) -> View:
    """Wrap ``view``: add headers that stop content written by editors from running."""

    @wraps(view)
    def safely(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response.headers["Content-Security-Policy"] = content_security_policy()
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cache-Control"] = "no-store"
        return response

    return safely


def content_security_policy() -> str:
    """Return the Content-Security-Policy of every preview page."""
    current = PublishingSettings.get_solo()
    directives = {
        "{0.scheme}://{0.netloc}".format(urlsplit(base))
        for base in (local_base_url(current), content_base_url(current))
    }
    files = " ".join(sorted(directives))
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "font-src 'self'",
            "connect-src 'self'",
            f"img-src 'self' data: https: {files}",
            f"media-src 'self' https: {files}",
            "frame-src 'self' https:",
            "frame-ancestors 'self'",
            "form-action 'self'",
            "base-uri 'none'",
        )
    )


# --- The choice of plan and state -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """The choice of plan, and of its published or its draft content."""

    plan: AcademicPlan | None
    plans: tuple[AcademicPlan, ...]
    published: bool

    @property
    def plan_id(self) -> str:
        """The plan's id in the paths of documents."""
        return self.plan.public_id if self.plan else draft_documents.NO_PLAN.id

    @property
    def query(self) -> str:
        chosen = {"state": "published" if self.published else "draft"}
        if self.plan is not None:
            chosen["plan"] = self.plan.public_id
        return urlencode(chosen)

    def documents(self, branch: Node | None = None) -> Documents:
        if self.published:
            return PublishedDocuments()
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
        published=request.GET.get("state") == "published",
    )


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
        published = request.GET.get("state") == "published"
        return plan, Choice(plan=plan, plans=(plan,), published=published)
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
        **_direction(topic),
    }


def _lesson(
    _request: HttpRequest, lesson: Node, choice: Choice
) -> tuple[str, dict[str, Any]]:
    if choice.published:
        document = draft_documents.published_lesson(lesson.public_id)
    else:
        document = draft_documents.lesson_document(load_lesson(lesson))
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
        "badge": access_badge(entry["access"]) if entry else "",
        "is_hidden": choice.plan is not None and entry is None,
        "topic": lesson.parent,
        **_direction(lesson),
    }


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


_RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ku", "ps", "sd", "ug", "ur", "yi"})


def _direction(node: Node) -> dict[str, str]:
    """Return the subject's language and direction; default: the title's direction."""
    state = SubjectState.objects.filter(pk=node.subject_pk).first()
    language = state.language if state else ""
    if language:
        primary = language.split("-")[0].lower()
        direction = "rtl" if primary in _RIGHT_TO_LEFT else "ltr"
        return {"content_language": language, "content_direction": direction}
    return {"content_language": "", "content_direction": direction_of(node.title)}


def direction_of(text: str) -> str:
    """Return ``rtl`` or ``ltr`` by the first letter that has a direction."""
    for character in text:
        match unicodedata.bidirectional(character):
            case "R" | "AL":
                return "rtl"
            case "L":
                return "ltr"
    return "ltr"


# --- Live preview while editing -------------------------------------------------------


@require_safe
@xframe_options_sameorigin
@with_security_headers
def blank(request: HttpRequest) -> HttpResponse:
    """Render the inner page without a lesson; the outer page sends it while editing."""
    require_view(request)
    context = {"title": "", "document": None, "texts": ui_texts(), "is_live": True}
    return TemplateResponse(request, "preview/lesson.html", context)


@require_POST
def live(request: HttpRequest) -> HttpResponse:
    """Return the document that the form would publish in its present state.

    Takes ``{"lesson": pk or null, "title", "description", "stages": [{"type",
    "title", "config", "weight", "target_time", "is_skippable"}]}``; returns
    ``{"document", "direction", "faults", "losses", "size_fault"}``. ``faults`` has one
    list of ``[path, reason]`` per stage; ``losses`` likewise, for parts that saving
    would remove. A stage with faults is ``{"unfinished": true}`` in the document.
    ``size_fault`` is the reason why the lesson is too large to save, or "". A body that
    is too large or malformed gets 400 with ``{"message"}``.

    Raises:
        PermissionDenied: the user may not view content.
    """
    require_view(request)
    try:
        typed = _from_form(request.body)
    except json_limits.JSONLimitError:
        return _refused(
            _(
                "The lesson is too large for a preview, or its JSON is nested too "
                "deeply."
            )
        )
    if typed is None:
        return _refused(
            _("The preview cannot read the data of this page. Reload the page.")
        )
    lesson = _lesson_from_form(typed)
    good: dict[int, Stage] = {}
    configs: list[tuple[int, str, dict[str, Any]]] = []
    faults: list[list[Any]] = []
    losses: list[list[Any]] = []
    size = 0
    for number, stage in enumerate(typed["stages"]):
        kind = str(stage.get("type", ""))
        try:
            cleaned = clean(kind, stage.get("config"))
        except ConfigError as error:
            faults.append(_placed(error.faults))
            losses.append([])
        else:
            faults.append([])
            losses.append(_placed(cleaned.losses))
            size += byte_size(cleaned.config)
            good[number] = _stage_from_form(number, kind, stage, cleaned.config)
            configs.append((number, kind, cleaned.config))
    for number, fault in _repeated_items(configs, typed["stages"], lesson.title):
        faults[number] += _placed([fault])
    document = draft_documents.lesson_document(
        content_node(lesson, stages=good.values())
    )
    checked = dict(zip(good, document["stages"], strict=True))
    document["stages"] = [
        checked.get(number, {"unfinished": True, "title": str(stage.get("title", ""))})
        | {"idx": number + 1}
        for number, stage in enumerate(typed["stages"])
    ]
    if lesson.pk:
        direction = _direction(lesson)["content_direction"]
    else:
        direction = direction_of(lesson.title)
    answer = {
        "document": document,
        "direction": direction,
        "faults": faults,
        "losses": losses,
        "size_fault": lesson_size_fault(size),
    }
    return HttpResponse(orjson.dumps(answer), content_type="application/json")


def _repeated_items(
    configs: Sequence[tuple[int, str, dict[str, Any]]],
    stages: Sequence[Mapping[str, Any]],
    lesson: str,
) -> Iterator[tuple[int, Fault]]:
    """Yield the number of each stage that repeats another one's item, with the fault."""
    titles = [
        str(stages[number].get("title", "")) for number, _kind, _config in configs
    ]
    pairs = ((kind, config) for _number, kind, config in configs)
    for repeated in repeated_items(pairs):
        reason = repeated_item_fault(repeated, lesson=lesson, stages=titles)
        yield configs[repeated.second][0], (repeated.path, reason)


def _placed(found: Iterable[Fault]) -> list[Any]:
    return [[list(place), why] for place, why in found]


def _refused(message: str) -> JsonResponse:
    return JsonResponse({"error": message}, status=HTTPStatus.BAD_REQUEST)


def _from_form(body: bytes) -> dict[str, Any] | None:
    """Parse the body; return None if it does not have the expected form.

    Raises:
        JSONLimitError: the body is larger or nested deeper than any lesson.
    """
    try:
        typed = json_limits.loads(body, max_bytes=MAX_BYTES)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(typed, dict):
        return None
    stages = typed.get("stages")
    if not isinstance(stages, list) or len(stages) > _MAX_STAGES:
        return None
    return typed if all(isinstance(stage, dict) for stage in stages) else None


def _lesson_from_form(typed: dict[str, Any]) -> Node:
    """Return the lesson with the form's values and its stored picture. Not saved."""
    pk = typed.get("lesson")
    found = None
    if isinstance(pk, int) and 0 < pk < 2**63:
        found = Node.objects.filter(pk=pk, kind=Kind.LESSON.value).first()
    lesson = found or Node(kind=Kind.LESSON.value, public_id="LES-NEW")
    lesson.title = str(typed.get("title", ""))[:255]
    lesson.description = str(typed.get("description", ""))
    return lesson


def _stage_from_form(
    number: int, kind: str, stage: dict[str, Any], config: Any
) -> Stage:
    return Stage(
        id=f"STG-{number + 1}",
        type=kind,
        title=str(stage.get("title", ""))[:255],
        config=json.dumps(config, cls=CanonicalJSONEncoder),
        weight=_number_or(stage.get("weight"), 1),
        target_time=_number_or(stage.get("target_time"), 60),
        is_skippable=bool(stage.get("is_skippable")),
    )


def _number_or(value: Any, otherwise: int) -> int:
    found = whole_number(str(value), maximum=999_999)
    return otherwise if found is None else found


def ui_texts() -> dict[str, str]:
    """Return the texts of the app's screens for the script that draws them."""
    return {
        "stage": _("%(place)s of %(count)s"),
        "next": _("Continue"),
        "back": _("Back"),
        "skip": _("Skip"),
        "again": _("Try again"),
        "finish": _("Finish"),
        "done": _("Well done! That was the whole lesson."),
        "restart": _("From the start"),
        "empty": _("This lesson has no stages yet. Students will see it empty."),
        "unfinished": _("This stage is not finished yet."),
        "check": _("Check"),
        "right": _("Right!"),
        "wrong": _("Not quite."),
        "choose_one": _("Choose the right answer."),
        "choose_all": _("Choose all right answers."),
        "matched": _("All pairs found!"),
        "match": _("Choose one on each side."),
        "reveal": _("Turn the card"),
        "hide": _("Turn back"),
        "build": _("Tap the words in the right order."),
        "clear": _("Start again"),
        "answer": _("Your sentence"),
        "no_video": _("The video cannot be played here."),
        "completed": _("Completed"),
        "embedded": _("A page of another site"),
        "stage_of_type": _("This type of stage has no preview; its content:"),
        "seconds": _("about %(count)s s"),
    }
