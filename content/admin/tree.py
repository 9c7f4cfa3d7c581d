"""The tree page of the admin, and the pages of single nodes.

The page is rendered as HTML rows. `memora/tree.js` loads branches (`rows_view`) and
posts changes (`content.admin.tree_views`); the answers hold messages for the editor.
Changes are written through `content.services`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import model_ngettext, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
)
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _, ngettext
from django.views.decorators.http import require_GET, require_POST

from content import kinds, tree_annotations, tree_rows, tree_updates
from content.admin.quality import QualityPage
from content.admin.text_search import TextSearchPage
from content.admin.tree_labels import KIND_TEXTS, MENU_TEXTS, cells_of, script_texts
from content.admin.tree_search import (
    STATES,
    Search,
    expanded_nodes,
    expanded_path,
    matching,
    one_of,
    page_query,
)
from content.admin.tree_views import MAX_LOGGED, TreeChanges, count_lessons
from content.history.changes import Edit, node_edits
from content.history.views import NodeHistory
from content.hooks import node_deletion_warnings, node_history
from content.kinds import Kind
from content.models import Node, NodeKind
from content.tree_rows import Branch, Row
from core.parsing import is_key

_PLACES = 30


@admin.register(Node)
class NodeAdmin(NodeHistory, TreeChanges, TextSearchPage, QualityPage):
    """Subjects, tracks, units, topics and lessons, as one tree."""

    # Used by the autocomplete fields of other pages.
    search_fields = ("title", "^public_id")
    actions = ("delete_selected",)
    delete_confirmation_template = "admin/content/node/delete_confirmation.html"
    delete_selected_confirmation_template = (
        "admin/content/node/delete_selected_confirmation.html"
    )

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
            ("text/", "text", require_GET(self.text_search_view)),
            ("<int:pk>/quality/", "quality", require_GET(self.quality_view)),
        ]
        own_urls = [
            path(address, self.admin_site.admin_view(view), name=f"content_node_{name}")
            for address, name, view in views
        ]
        return [*own_urls, *super().get_urls()]

    def edits_of(self, obj: Node) -> list[Edit]:
        return node_edits(obj, node_history(obj))

    # --- Viewing --------------------------------------------------------------

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the tree or search results; a POST confirms and deletes permanently."""
        if request.method == "POST":
            posted: HttpResponse = super().changelist_view(request, extra_context)
            return posted
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        search = Search.of(request)
        context = self._page(request, search) | (extra_context or {})
        if search.is_active:
            context |= self._found(request, search)
        else:
            top = tree_rows.tree_page_rows({}, roots=tree_rows.PAGE)
            context |= {"branch": top, "is_empty": not top.rows}
            self._dress(request, [*tree_rows.visible_rows(top)])
        return TemplateResponse(request, "admin/content/node/tree.html", context)

    def _page(self, request: HttpRequest, search: Search) -> dict[str, Any]:
        """Return the context besides the rows.

        Two queries, for subjects and plans; two more when ``?at=`` names a row.
        """
        subjects = Node.objects.subjects().untrashed().order_by("tree_id")
        views = tree_annotations.choices()
        view = one_of(request.GET.get("view"), [value for value, _l in views])
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
                "flat": search.is_active,
                "kinds": list(Kind),
                "page": tree_rows.PAGE,
                "at": None
                if search.is_active
                else _expanded_path(request.GET.get("at", "")),
                "view": view,
                "base": reverse("admin:content_node_changelist"),
                "schedule": reverse("admin:plans_scheduledchange_add"),
                "exchange": reverse("admin:exchange"),
                "previews": {
                    kind: reverse(f"admin:preview_{kind}", args=["ID"]) for kind in Kind
                },
            },
            "texts": script_texts(),
            "menu_texts": MENU_TEXTS,
            "kind_texts": {
                kind: {name: str(word) for name, word in words.items()}
                for kind, words in KIND_TEXTS.items()
            },
        }

    def _rights(self, request: HttpRequest) -> dict[str, bool]:
        return {
            "add": self.has_add_permission(request),
            "change": self.has_change_permission(request),
            "delete": self.has_delete_permission(request),
        }

    def _found(self, request: HttpRequest, search: Search) -> dict[str, Any]:
        """Return the context of one page of search results."""
        nodes = search.nodes()
        total = nodes.count()
        asked = request.GET.get("p", "")
        last = max(0, (total - 1) // tree_rows.PAGE)
        page = min(int(asked), last) if is_key(asked) else 0
        start = page * tree_rows.PAGE
        rows = tree_rows.rows_of(nodes[start : start + tree_rows.PAGE])
        self._dress(request, rows)
        return {
            "rows": rows,
            "total": total,
            "first": start + 1,
            "last": start + len(rows),
            "previous": page_query(request, page - 1) if page else "",
            "next": page_query(request, page + 1) if page < last else "",
        }

    def _dress(self, request: HttpRequest, rows: Sequence[Row]) -> None:
        """Set the ``cells`` of each row: its texts and badges."""
        view = request.GET.get("view", "")
        annotations = tree_annotations.annotate(view, rows) if view and rows else {}
        badges = tree_annotations.row_badges(rows) if rows else []
        for row in rows:
            pk = row.node.pk
            own = [found[pk] for found in badges if pk in found]
            row.cells = cells_of(row, annotations.get(pk), own)

    def rows_view(self, request: HttpRequest) -> HttpResponse:
        """Return the tree as the browser shows it, for ``open=12,15:300&roots=100``."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        roots = request.GET.get("roots", "")
        top = tree_rows.tree_page_rows(
            expanded_nodes(request.GET.get("open", "")),
            roots=max(int(roots), tree_rows.PAGE) if is_key(roots) else tree_rows.PAGE,
        )
        return self._branch(request, top)

    def branch_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return the child rows of one node, from ``start``."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        node = get_object_or_404(
            tree_rows.with_ancestors(Node.objects.order_by()), pk=pk
        )
        start = request.GET.get("start", "")
        branch = tree_rows.branch_of(node, start=int(start) if is_key(start) else 0)
        return self._branch(request, branch)

    def _branch(self, request: HttpRequest, branch: Branch) -> HttpResponse:
        self._dress(request, [*tree_rows.visible_rows(branch)])
        return TemplateResponse(
            request,
            "admin/content/node/tree_branch.html",
            {"branch": branch, "rights": self._rights(request)},
        )

    def places_view(self, request: HttpRequest) -> HttpResponse:
        """Return possible parents for a ``kind`` as JSON; ``q`` searches. One query."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        kind_value = one_of(request.GET.get("kind"), NodeKind.values)
        target_kind = kinds.parent_kind(Kind(kind_value)) if kind_value else None
        if target_kind is None:
            return JsonResponse({"places": []})
        found = Search(
            query=request.GET.get("q", "").strip()[:200], kind=target_kind.value
        )
        subject_key = request.GET.get("near", "")
        if not found.query and is_key(subject_key):
            found = Search(kind=target_kind.value, subject=subject_key)
        return JsonResponse(
            {
                "places": [
                    {
                        "pk": node.pk,
                        "title": node.title,
                        "path": [above.title for above in tree_rows.ancestors_of(node)],
                    }
                    for node in found.nodes()[:_PLACES]
                ]
            }
        )

    # --- Deleting -------------------------------------------------------------

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Confirm a deletion; the page also offers to move the node to the trash."""
        if request.method == "POST" and "trash" in request.POST:
            node = self.get_object(request, unquote(object_id))
            if node is not None:
                return self._trash_instead(request, node)
        answer: HttpResponse = super().delete_view(request, object_id, extra_context)
        return answer

    def _trash_instead(self, request: HttpRequest, node: Node) -> HttpResponse:
        if not self.has_change_permission(request, node):
            raise PermissionDenied
        messages.success(request, self._trash(request, [node])["message"])
        tree = reverse("admin:content_node_changelist")
        return HttpResponseRedirect(f"{tree}?at={node.parent_id or ''}")

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Log the first nodes only, like `TreeChanges._log`."""
        return super().log_deletions(request, queryset[:MAX_LOGGED])

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """Return what a deletion removes, as counts, in a fixed number of queries."""
        nodes = list(objs)
        lessons = count_lessons(nodes)
        counts = {
            str(model_ngettext(self.opts, 2)): tree_updates.subtrees_of(nodes).count(),
            str(KIND_TEXTS["lesson"]["many"]): lessons,
        }
        consequences = []
        if lessons:
            words = ngettext(
                "%(count)d lesson and its stages will be deleted permanently.",
                "%(count)d lessons and their stages will be deleted permanently.",
                lessons,
            )
            consequences.append(words % {"count": lessons})
        consequences += node_deletion_warnings(nodes)
        request.deletion_consequences = consequences  # type: ignore[attr-defined]
        refused = (
            set()
            if self.has_delete_permission(request)
            else {str(self.opts.verbose_name)}
        )
        return [node.title for node in nodes], counts, refused, []

    # --- Autocomplete of other pages ------------------------------------------

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for the autocomplete of other pages, without trashed nodes.

        ``?subjects=1,2`` limits it to these subjects.
        """
        found = queryset.filter(matching(search_term)) if search_term else queryset
        if request.path == reverse("admin:autocomplete"):
            found = found.filter(trashed_at__isnull=True).select_related("parent")
            subject_keys = request.GET.get("subjects", "").split(",")
            subjects = [int(pk) for pk in subject_keys if is_key(pk)]
            if subjects:
                found = found.filter(Q(pk__in=subjects) | Q(subject_id__in=subjects))
        return found, False

    def autocomplete_label(self, node: Node) -> str:
        """Return the label of a choice; titles alone are not unique."""
        label = f"{node.get_kind_display()}: {node.title}"
        return f"{label} ‹ {node.parent.title}" if node.parent else label


def _expanded_path(key: str) -> dict[str, Any] | None:
    """Return what the script opens to show the row with this key; None if missing."""
    if not is_key(key):
        return None
    branches = expanded_path([int(key)])
    return {"pk": int(key), "open_branches": branches} if branches is not None else None
