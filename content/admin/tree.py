"""The tree page: a door to `content.services`.

The page is rows in HTML; `memora/tree.js` opens branches (`rows_view`), and asks for
changes (`do_view` and its like), which answer with what happened in words.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.admin.utils import model_ngettext
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import OperationalError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseRedirect,
    JsonResponse,
)
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _, gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_POST
from mptt.exceptions import InvalidMove

from content import consequences, copying, kinds, lenses, outline, services, undo
from content.admin.lesson import NodePage
from content.admin.tree_words import KIND_WORDS, MENU_WORDS, cells_of, script_words
from content.errors import StructureError
from content.folding import fold
from content.history_pages import NodeHistory
from content.kinds import Kind
from content.models import LessonStage, Node, NodeKind
from content.outline import Branch, Row

MOST_CHOSEN = 500
"""How many rows one request may change."""
_PLACES = 30

_POSITIONS = ("first-child", "last-child", "left", "right")


class BadRequest(Exception):
    """The page would never ask this."""


@dataclass(frozen=True, slots=True)
class Search:
    """What the page is asked to show instead of the tree."""

    words: str = ""
    kind: str = ""
    state: str = ""
    subject: str = ""

    @classmethod
    def of(cls, request: HttpRequest) -> "Search":
        """What the address says; what it says wrongly is left out."""
        asked = request.GET
        subject = asked.get("subject", "")
        return cls(
            words=asked.get("q", "").strip()[:200],
            kind=_one_of(asked.get("kind"), NodeKind.values),
            state=_one_of(asked.get("state"), [value for value, _l in STATES]),
            subject=subject if _is_key(subject) else "",
        )

    @property
    def is_asked(self) -> bool:
        return bool(self.words or self.kind or self.state or self.subject)

    @property
    def wants_trash(self) -> bool:
        return self.state == "trash"

    def nodes(self) -> QuerySet[Any]:
        """What fits all of it, in tree order, with what it lies in."""
        found = outline.with_above(Node.objects.order_by("tree_id", "lft"))
        if self.wants_trash:
            found = found.filter(trashed_at__isnull=False)
        else:
            found = found.filter(outline.outside_trash())
        if self.words:
            found = found.filter(_matching(self.words))
        if self.kind:
            found = found.filter(kind=self.kind)
        if self.subject:
            found = found.filter(Q(pk=self.subject) | Q(subject_id=self.subject))
        match self.state:
            case "published":
                found = found.filter(is_published=True)
            case "draft":
                found = found.filter(is_published=False)
            case "empty":
                stages = LessonStage.objects.filter(lesson=OuterRef("pk"))
                found = found.filter(~Exists(stages), kind=Kind.LESSON.value)
        return found


STATES = (
    ("published", gettext_lazy("Published")),
    ("draft", gettext_lazy("Draft")),
    ("empty", gettext_lazy("Lesson without stages")),
    ("trash", gettext_lazy("In the trash")),
)


def _matching(words: str) -> Q:
    """Titles with all of these words, however they are spelled; or an id's start."""
    titled = Q()
    for word in fold(words).split():
        titled &= Q(title_folded__contains=word)
    return titled | Q(public_id__istartswith=words)


@admin.register(Node)
class NodeAdmin(NodeHistory, NodePage):
    """Subjects, tracks, units, topics and lessons, as one tree."""

    # Other pages' choosers look here.
    search_fields = ("title", "^public_id")
    actions = ("delete_selected",)
    delete_confirmation_template = "admin/content/node/delete_one.html"
    delete_selected_confirmation_template = "admin/content/node/delete_many.html"

    def get_urls(self) -> list[URLPattern]:
        views: list[tuple[str, str, Callable[..., HttpResponse]]] = [
            ("rows/", "rows", require_GET(self.rows_view)),
            ("rows/<int:pk>/", "branch", require_GET(self.branch_view)),
            ("places/", "places", require_GET(self.places_view)),
            ("quick-add/", "quick_add", require_POST(self.quick_add_view)),
            ("move/", "move", require_POST(self.move_view)),
            ("copy/", "copy", require_POST(self.copy_view)),
            ("do/", "do", require_POST(self.do_view)),
            ("undo/", "undo", require_POST(self.undo_view)),
        ]
        ours = [
            path(address, self.admin_site.admin_view(view), name=f"content_node_{name}")
            for address, name, view in views
        ]
        return [*ours, *super().get_urls()]

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """The page of one node; a lost race is a message."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except OperationalError as error:
            if not services.is_lost_race(error):
                raise
            messages.error(request, _lost_race())
            return HttpResponseRedirect(request.get_full_path())

    # --- Looking --------------------------------------------------------------

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The tree, or what was searched for; a POST deletes for good, and asks first."""
        if request.method == "POST":
            posted: HttpResponse = super().changelist_view(request, extra_context)
            return posted
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        search = Search.of(request)
        context = self._page(request, search) | (extra_context or {})
        if search.is_asked:
            context |= self._found(request, search)
        else:
            top = outline.outline({}, roots=outline.PAGE)
            context |= {"branch": top, "is_empty": not top.rows}
            self._dress(request, [*outline.visible_rows(top)])
        return TemplateResponse(request, "admin/content/node/tree.html", context)

    def _page(self, request: HttpRequest, search: Search) -> dict[str, Any]:
        """What the page has beside the rows. Two queries: subjects, and plans."""
        subjects = Node.objects.subjects().untrashed().order_by("tree_id")
        views = lenses.choices()
        view = _one_of(request.GET.get("view"), [value for value, _l in views])
        rights = self._rights(request)
        return {
            **self.admin_site.each_context(request),
            "title": _("Content tree"),
            "opts": self.opts,
            "search": search,
            "subjects": [(str(pk), t) for pk, t in subjects.values_list("pk", "title")],
            "kinds": NodeKind.choices,
            "states": STATES,
            "views": views,
            "view": view,
            "rights": rights,
            "settings": {
                **rights,
                "flat": search.is_asked,
                "view": view,
                "base": reverse("admin:content_node_changelist"),
                "previews": {
                    kind: reverse(f"admin:preview_{kind}", args=["ID"])
                    for kind in (Kind.LESSON.value, Kind.TOPIC.value)
                },
            },
            "words": script_words(),
            "menu_words": MENU_WORDS,
            "kind_words": {
                kind: {name: str(word) for name, word in words.items()}
                for kind, words in KIND_WORDS.items()
            },
        }

    def _rights(self, request: HttpRequest) -> dict[str, bool]:
        return {
            "add": self.has_add_permission(request),
            "change": self.has_change_permission(request),
            "delete": self.has_delete_permission(request),
        }

    def _found(self, request: HttpRequest, search: Search) -> dict[str, Any]:
        """One page of what was found."""
        nodes = search.nodes()
        total = nodes.count()
        asked = request.GET.get("p", "")
        last = max(0, (total - 1) // outline.PAGE)
        page = min(int(asked), last) if _is_key(asked) else 0
        start = page * outline.PAGE
        rows = outline.rows_of(nodes[start : start + outline.PAGE])
        self._dress(request, rows)
        return {
            "rows": rows,
            "total": total,
            "first": start + 1,
            "last": start + len(rows),
            "previous": _page_query(request, page - 1) if page else "",
            "next": _page_query(request, page + 1) if page < last else "",
        }

    def _dress(self, request: HttpRequest, rows: Sequence[Row]) -> None:
        """Give each row its ``cells``: what it says, in words and badges."""
        view = request.GET.get("view", "")
        sights = lenses.see(view, rows) if view and rows else {}
        for row in rows:
            row.cells = cells_of(row, sights.get(row.node.pk))

    def rows_view(self, request: HttpRequest) -> HttpResponse:
        """The whole tree as the browser had it: ``open=12,15:300`` and ``roots=100``."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        roots = request.GET.get("roots", "")
        top = outline.outline(
            _opened(request.GET.get("open", "")),
            roots=max(int(roots), outline.PAGE) if _is_key(roots) else outline.PAGE,
        )
        return self._branch(request, top)

    def branch_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What lies right inside one node, from ``start`` on."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        node = get_object_or_404(outline.with_above(Node.objects.order_by()), pk=pk)
        start = request.GET.get("start", "")
        branch = outline.branch_of(node, start=int(start) if _is_key(start) else 0)
        return self._branch(request, branch)

    def _branch(self, request: HttpRequest, branch: Branch) -> HttpResponse:
        self._dress(request, [*outline.visible_rows(branch)])
        return TemplateResponse(
            request,
            "admin/content/node/tree_branch.html",
            {"branch": branch, "rights": self._rights(request)},
        )

    def places_view(self, request: HttpRequest) -> HttpResponse:
        """Where nodes of a kind could go: ``kind``, and ``q`` to search. One query."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        asked = _one_of(request.GET.get("kind"), NodeKind.values)
        wanted = kinds.parent_kind(Kind(asked)) if asked else None
        if wanted is None:
            return JsonResponse({"places": []})
        found = Search(words=request.GET.get("q", "").strip()[:200], kind=wanted.value)
        near = request.GET.get("near", "")
        if not found.words and _is_key(near):
            found = Search(kind=wanted.value, subject=near)
        return JsonResponse(
            {
                "places": [
                    {
                        "pk": node.pk,
                        "title": node.title,
                        "path": [above.title for above in outline.above_of(node)],
                    }
                    for node in found.nodes()[:_PLACES]
                ]
            }
        )

    # --- Changing -------------------------------------------------------------

    def _answer(
        self, request: HttpRequest, right: str, work: Callable[[], dict[str, Any]]
    ) -> HttpResponse:
        """What ``work`` says, or why it was refused, for the page's script."""
        if not getattr(self, f"has_{right}_permission")(request):
            raise PermissionDenied
        try:
            with transaction.atomic():
                return JsonResponse(work())
        except StructureError as refusal:
            said = refusal.message
        except ValidationError as error:
            said = " ".join(error.messages)
        except InvalidMove:
            said = _("Nothing can move into itself.")
        except OperationalError as error:
            if not services.is_lost_race(error):
                raise
            said = _lost_race()
        except BadRequest:
            return HttpResponseBadRequest()
        return JsonResponse({"refused": said}, status=409)

    def quick_add_view(self, request: HttpRequest) -> HttpResponse:
        """A new draft of ``title``: last in ``parent``, or on a ``side`` of ``beside``."""
        return self._answer(request, "add", lambda: self._quick_add(request))

    def _quick_add(self, request: HttpRequest) -> dict[str, Any]:
        title = request.POST.get("title", "").strip()
        beside = None
        if neighbour := request.POST.get("beside", ""):
            side = request.POST.get("side")
            if side not in ("left", "right"):
                raise BadRequest
            [found] = _nodes([neighbour])
            beside = (found, side)
            kind, parent = Kind(found.kind), found.parent
        else:
            parent = self._find_parent(request.POST.get("parent", ""))
            child = kinds.child_kind(Kind(parent.kind)) if parent else Kind.SUBJECT
            kind = child or Kind.LESSON
        node = services.create_node(
            kind=kind,
            parent=parent,
            title=title,
            beside=cast(Any, beside),
        )
        self._log(request, [node], _("Added in the tree"), flag=ADDITION)
        said = _("“%(title)s” is there, as a draft.") % {"title": title}
        return {"said": said, "pk": node.pk}

    def move_view(self, request: HttpRequest) -> HttpResponse:
        """Put ``nodes`` to a ``position`` at ``target``; asks where progress is lost."""
        return self._answer(request, "change", lambda: self._move(request))

    def _move(self, request: HttpRequest) -> dict[str, Any]:
        position = request.POST.get("position")
        if position not in _POSITIONS:
            raise BadRequest
        [target] = _nodes([request.POST.get("target", "")])
        nodes = _chosen(request)
        if question := self._question_of_move(request, nodes, target):
            return question
        moved, record = undo.move(
            nodes=[node for node in nodes if node.pk != target.pk],
            target=target,
            position=cast(services.Position, position),
        )
        if not record:
            return {"said": ""}
        inside = position in ("first-child", "last-child")
        parent = target if inside else target.parent
        place = parent.title if parent else _("the top of the tree")
        self._log(request, moved, _("Moved to “%(parent)s”") % {"parent": place})
        return {
            "said": _said_of(
                nodes,
                _("“%(title)s” now lies in “%(parent)s”."),
                ngettext(
                    "%(count)d entry now lies in “%(parent)s”.",
                    "%(count)d entries now lie in “%(parent)s”.",
                    len(nodes),
                ),
                parent=place,
            ),
            "undo": record,
            "open": [parent.pk] if parent else [],
        }

    def _question_of_move(
        self, request: HttpRequest, nodes: Sequence[Node], target: Node
    ) -> dict[str, Any] | None:
        """New bits in another subject: students' progress stays behind. Ask first."""
        leaving = [node for node in nodes if node.subject_pk != target.subject_pk]
        leaving = [node for node in leaving if node.kind != NodeKind.SUBJECT]
        lessons = _lessons_inside(leaving)
        if not lessons or "confirmed" in request.POST:
            return None
        if kinds.parent_kind(Kind(leaving[0].kind)) is None:
            return None
        old, new = leaving[0].subject, Node.objects.get(pk=target.subject_pk)
        said = ngettext(
            "%(count)d lesson goes from “%(old)s” to “%(new)s”. Students' progress on "
            "it stays in the old subject: in the new one they start it again, even if "
            "you move it back.",
            "%(count)d lessons go from “%(old)s” to “%(new)s”. Students' progress on "
            "them stays in the old subject: in the new one they start them again, even "
            "if you move them back.",
            lessons,
        )
        return {
            "ask": said % {"count": lessons, "old": old, "new": new},
            "title": _("Move to another subject?"),
            "yes": _("Move it"),
            "no": _("Leave it where it is"),
        }

    def copy_view(self, request: HttpRequest) -> HttpResponse:
        """Copy ``nodes``, each right after itself, or into ``target``."""
        return self._answer(request, "add", lambda: self._copy(request))

    def _copy(self, request: HttpRequest) -> dict[str, Any]:
        into = request.POST.get("target", "")
        parent = _nodes([into])[0] if into else None
        copies = [
            copying.copy_node(node=node, parent=parent) for node in _chosen(request)
        ]
        self._log(request, copies, _("Made as a copy"), flag=ADDITION)
        lessons = _lessons_inside(copies)
        said = _said_of(
            copies,
            _("“%(title)s” is there, as a draft."),
            ngettext(
                "%(count)d copy is there, as a draft.",
                "%(count)d copies are there, as drafts.",
                len(copies),
            ),
        )
        if lessons:
            said += " " + ngettext(
                "%(count)d lesson was copied with its stages.",
                "%(count)d lessons were copied with their stages.",
                lessons,
            ) % {"count": lessons}
        return {
            "said": said,
            "pk": copies[0].pk,
            "open": [parent.pk] if parent else [],
        }

    def do_view(self, request: HttpRequest) -> HttpResponse:
        """Change ``nodes``: what is done to them is named by ``do``."""
        return self._answer(request, "change", lambda: self._do(request))

    def _do(self, request: HttpRequest) -> dict[str, Any]:
        nodes = _chosen(request)
        match request.POST.get("do"):
            case "trash":
                done = [services.trash_node(node=node) for node in nodes]
                self._log(request, done, _("To the trash"))
                said = _said_of(
                    done,
                    _("“%(title)s” is in the trash now."),
                    ngettext(
                        "%(count)d is in the trash now. Restore it there.",
                        "%(count)d are in the trash now. Restore them there.",
                        len(done),
                    ),
                )
                return {"said": said, "undo": undo.of_trash(done)}
            case "restore":
                done = [services.restore_node(node=node) for node in nodes]
                self._log(request, done, _("Restored"))
                said = ngettext("%(count)d restored.", "%(count)d restored.", len(done))
                return {"said": said % {"count": len(done)}}
            case name:
                if name not in _CHANGES:
                    raise BadRequest
                return self._change(request, nodes, _CHANGES[name])

    def _change(
        self, request: HttpRequest, nodes: Sequence[Node], change: "Change"
    ) -> dict[str, Any]:
        fields = dict(change.fields)
        if change.takes_item:
            fields["required_item"] = request.POST.get("value", "").strip()
        if change.goes_inside:
            inside = Node.objects.get_queryset_descendants(
                Node.objects.filter(pk__in=[node.pk for node in nodes]),
                include_self=True,
            )
            nodes = list(inside.filter(trashed_at__isnull=True))
        changed = services.change_nodes(nodes=nodes, **fields)
        self._log(request, changed, str(change.note))
        if not changed:
            return {"said": _("Nothing to change: it is so already.")}
        said = ngettext(
            "%(what)s: %(count)d entry.", "%(what)s: %(count)d entries.", len(changed)
        )
        return {"said": said % {"what": change.note, "count": len(changed)}}

    def undo_view(self, request: HttpRequest) -> HttpResponse:
        """Take back what the signed ``record`` tells (`content.undo`)."""
        return self._answer(request, "change", lambda: self._undo(request))

    def _undo(self, request: HttpRequest) -> dict[str, Any]:
        nodes = undo.undo(request.POST.get("record", ""))
        self._log(request, nodes, _("Undone"))
        return {"said": _("It is as it was before.")}

    def _log(
        self,
        request: HttpRequest,
        nodes: Sequence[Node],
        note: str,
        flag: int = CHANGE,
    ) -> None:
        """A line in each node's history."""
        if nodes:
            LogEntry.objects.log_actions(
                user_id=cast(int, request.user.pk),
                queryset=nodes,
                action_flag=flag,
                change_message=note,
            )

    # --- Deleting -------------------------------------------------------------

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """What a deletion takes, in a fixed number of queries: counts, not lists."""
        nodes = list(objs)
        lessons = _lessons_inside(nodes)
        counts = {
            str(model_ngettext(self.opts, 2)): _inside(nodes).count(),
            str(KIND_WORDS["lesson"]["many"]): lessons,
        }
        said = []
        if lessons:
            words = ngettext(
                "%(count)d lesson goes with its stages, for good.",
                "%(count)d lessons go with their stages, for good.",
                lessons,
            )
            said.append(words % {"count": lessons})
        said += consequences.of_deleting(nodes)
        request.deletion_consequences = said  # type: ignore[attr-defined]
        refused = (
            set()
            if self.has_delete_permission(request)
            else {str(self.opts.verbose_name)}
        )
        return [node.title for node in nodes], counts, refused, []

    # --- Choosing content elsewhere -------------------------------------------

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """For other pages' choosers: without the trash, and with ``?subjects=1,2`` only
        what lies in these."""
        found = queryset.filter(_matching(search_term)) if search_term else queryset
        if request.path == reverse("admin:autocomplete"):
            found = found.filter(trashed_at__isnull=True).select_related("parent")
            asked = request.GET.get("subjects", "").split(",")
            subjects = [int(pk) for pk in asked if _is_key(pk)]
            if subjects:
                found = found.filter(Q(pk__in=subjects) | Q(subject_id__in=subjects))
        return found, False

    def autocomplete_label(self, node: Node) -> str:
        """A choice in another page's chooser; titles alone repeat."""
        label = f"{node.get_kind_display()}: {node.title}"
        return f"{label} ‹ {node.parent.title}" if node.parent else label


@dataclass(frozen=True, slots=True)
class Change:
    """A change of nodes' own fields: what is written, and what the history says."""

    note: Any
    fields: tuple[tuple[str, Any], ...] = ()
    goes_inside: bool = False
    takes_item: bool = False


_CHANGES = {
    "publish": Change(gettext_lazy("Published"), (("is_published", True),)),
    "publish_inside": Change(
        gettext_lazy("Published"), (("is_published", True),), goes_inside=True
    ),
    "unpublish": Change(gettext_lazy("Made a draft"), (("is_published", False),)),
    "unpublish_inside": Change(
        gettext_lazy("Made a draft"), (("is_published", False),), goes_inside=True
    ),
    "free": Change(gettext_lazy("Free preview"), (("is_free_preview", True),)),
    "not_free": Change(
        gettext_lazy("No longer a free preview"), (("is_free_preview", False),)
    ),
    "item": Change(gettext_lazy("Product code"), takes_item=True),
}


def _lost_race() -> str:
    return _(
        "Somebody else changed the same at this moment. Nothing was done: try again."
    )


def _said_of(nodes: Sequence[Node], of_one: str, of_many: str, **values: str) -> str:
    if len(nodes) == 1:
        return of_one % {"title": nodes[0].title, **values}
    return of_many % {"count": len(nodes), **values}


def _chosen(request: HttpRequest) -> list[Node]:
    """The nodes a request names, in tree order.

    Raises:
        BadRequest: it names none, too many, or what is no node.
        StructureError: one has been deleted.
    """
    keys = request.POST.getlist("nodes")
    if not keys:
        raise BadRequest
    if len(keys) > MOST_CHOSEN:
        raise StructureError(
            _("Choose at most %(count)d entries at a time.") % {"count": MOST_CHOSEN}
        )
    return _nodes(keys)


def _nodes(keys: Sequence[str]) -> list[Node]:
    if not all(_is_key(key) for key in keys):
        raise BadRequest
    found = Node.objects.filter(pk__in=set(keys)).select_related("parent", "subject")
    nodes = list(found.order_by("tree_id", "lft"))
    if len(nodes) < len(set(keys)):
        raise StructureError(
            _("The content has been deleted meanwhile. Reload the page.")
        )
    return nodes


def _inside(nodes: Sequence[Node]) -> QuerySet[Any]:
    """``nodes`` and all that lies in them."""
    inside = Q(pk__in=[])
    for node in nodes:
        inside |= Q(tree_id=node.tree_id, lft__gte=node.lft, rght__lte=node.rght)
    return cast("QuerySet[Any]", Node.objects.filter(inside))


def _lessons_inside(nodes: Sequence[Node]) -> int:
    return _inside(nodes).filter(kind=NodeKind.LESSON).count()


def _is_key(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) < 19


def _one_of(asked: str | None, known: Sequence[str]) -> str:
    return asked if asked is not None and asked in known else ""


def _opened(asked: str) -> dict[int, int]:
    """``12,15:300`` as the open branches and how many rows of each are shown."""
    opened = {}
    for part in asked.split(",")[:MOST_CHOSEN]:
        pk, _colon, shown = part.partition(":")
        if _is_key(pk):
            most = int(shown) if _is_key(shown) else outline.PAGE
            opened[int(pk)] = min(max(most, outline.PAGE), outline.MOST_ROWS)
    return opened


def _page_query(request: HttpRequest, page: int) -> str:
    query = request.GET.copy()
    query["p"] = str(page)
    return f"?{query.urlencode()}"
