"""The tree page: a door to `content.services`."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, gettext_lazy, ngettext
from mptt.admin import DraggableMPTTAdmin, MPTTModelAdmin
from mptt.exceptions import InvalidMove

from content import kinds, services
from content.admin.lesson import NodePage
from content.badges import badge
from content.errors import StructureError
from content.kinds import Kind
from content.models import Node, NodeKind
from content.outline import RowFacts, facts_of

PENDING_MOVE = "content_pending_move"
"""Session key of a dragged move that waits for its editor's yes."""


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, *_args: Any) -> list[tuple[str, Any]]:
        return [
            ("published", gettext_lazy("Published")),
            ("draft", gettext_lazy("Draft")),
            ("trash", gettext_lazy("In the trash")),
        ]

    def queryset(
        self, _request: HttpRequest, queryset: QuerySet[Node]
    ) -> QuerySet[Node]:
        match self.value():
            case "published":
                return queryset.filter(is_published=True, trashed_at__isnull=True)
            case "draft":
                return queryset.filter(is_published=False, trashed_at__isnull=True)
            case "trash":
                return queryset.filter(trashed_at__isnull=False)
        return queryset


class SubjectFilter(admin.SimpleListFilter):
    title = gettext_lazy("subject")
    parameter_name = "subject"

    def lookups(self, *_args: Any) -> list[tuple[str, str]]:
        subjects = Node.objects.subjects().untrashed().order_by("tree_id")
        return [(str(pk), title) for pk, title in subjects.values_list("pk", "title")]

    def queryset(
        self, _request: HttpRequest, queryset: QuerySet[Node]
    ) -> QuerySet[Node]:
        chosen = self.value() or ""
        if not chosen.isdecimal():
            return queryset
        return queryset.filter(Q(pk=chosen) | Q(subject_id=chosen))


class OutlineChangeList(ChangeList):
    """The tree page's rows, each with its `RowFacts` as ``node.facts``.

    What lies in the trash shows under the trash filter only.
    """

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        nodes = list(self.result_list)
        facts = facts_of(nodes)
        wants_trash = self.params.get("state") == "trash"
        rows = []
        for node in nodes:
            if node.pk in facts and (wants_trash or not facts[node.pk].is_in_trash):
                node.facts = facts[node.pk]
                node.is_search_hit = self.is_narrowed
                rows.append(node)
        self.result_list = rows
        self.result_count = len(rows)

    @property
    def is_narrowed(self) -> bool:
        """Whether rows may stand here without the rows above them."""
        return bool(self.query) or bool(self.params.keys() - {"subject"})


@admin.register(Node)
class NodeAdmin(NodePage, DraggableMPTTAdmin):
    """Subjects, tracks, units, topics and lessons, as one tree to drag in."""

    list_display = (
        "tree_actions",
        "indented_title",
        "publication_state",
        "access",
        "contents",
        "row_actions",
    )
    list_display_links = ("indented_title",)
    list_filter = ("kind", StateFilter, SubjectFilter)
    search_fields = ("title", "^public_id")
    search_help_text = gettext_lazy("Search by title or id")
    sortable_by = ()
    # Dragging needs the whole tree on one page.
    list_per_page = list_max_show_all = 1_000_000
    show_full_result_count = False
    actions = (
        "publish",
        "publish_with_contents",
        "unpublish",
        "move_to_trash",
        "restore",
    )

    # --- The tree page ------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return OutlineChangeList

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changelist = super().get_changelist_instance(request)
        request.outline = changelist  # type: ignore[attr-defined]
        return changelist

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method == "GET" and PENDING_MOVE in request.session:
            asked = urlencode(request.session.pop(PENDING_MOVE))
            return HttpResponseRedirect(f"{reverse('admin:content_node_move')}?{asked}")
        response: HttpResponse = super().changelist_view(
            request, {"title": _("Content tree"), **(extra_context or {})}
        )
        return response

    def _tree_context(self, request: HttpRequest) -> dict[str, Any]:
        """What mptt's script is told; only of the rows that are on the page."""
        changelist: OutlineChangeList = request.outline  # type: ignore[attr-defined]
        context: dict[str, Any] = super()._tree_context(request)
        children = defaultdict(list)
        for node in changelist.result_list:
            children[node.parent_id or 0].append(node.pk)
        context["treeStructure"] = children
        if changelist.is_narrowed:
            context |= {"storageName": "memora_tree_found", "expandTreeByDefault": True}
        return context

    def _build_tree_structure(self, _queryset: Any) -> dict[str, list[int]]:
        return {}  # mptt would read the whole tree again

    @admin.display(description=gettext_lazy("title"))
    def indented_title(self, node: Any) -> SafeString:
        facts: RowFacts = node.facts
        trail = " › ".join(facts.path) if node.is_search_hit else ""
        return format_html(
            '<span class="tree-title" style="--level:{}">'
            '<span class="kind kind-{}">{}</span> <bdi>{}</bdi>'
            '<span class="tree-trail">{}</span></span>',
            0 if node.is_search_hit else node.level,
            node.kind,
            node.get_kind_display(),
            node.title,
            trail,
        )

    @admin.display(description=gettext_lazy("state"))
    def publication_state(self, node: Any) -> SafeString:
        facts: RowFacts = node.facts
        if facts.is_in_trash:
            return badge("✕", _("In the trash"), "quiet")
        if not node.is_published:
            return badge("○", _("Draft"), "quiet")
        if facts.draft_above:
            return badge(
                "◌",
                _("Inside a draft"),
                "waiting",
                why=_("Students do not see it: “%(title)s” is a draft.")
                % {"title": facts.draft_above},
            )
        return badge("●", _("Published"), "done")

    @admin.display(description=gettext_lazy("access"))
    def access(self, node: Node) -> SafeString:
        if node.is_free_preview:
            return badge("★", _("Free preview"), "done")
        if node.required_item:
            why = _("Students need the product %(item)s.") % {
                "item": node.required_item
            }
            return badge("🔒", _("Paid"), "waiting", why=why)
        if node.is_public:
            return badge("◇", _("Public"), "action")
        word = _("Signed in") if node.kind == NodeKind.SUBJECT else _("As above")
        return format_html('<span class="quiet">{}</span>', word)

    @admin.display(description=gettext_lazy("contents"))
    def contents(self, node: Any) -> SafeString | str:
        facts: RowFacts = node.facts
        if node.kind == NodeKind.LESSON:
            count = facts.stages
            if count == 0 and node.is_published:
                why = _("Students will see an empty lesson: add a stage.")
                return badge("!", _("No stages"), "waiting", why=why)
            return ngettext("%(count)d stage", "%(count)d stages", count) % {
                "count": count
            }
        count = facts.lessons
        return ngettext("%(count)d lesson", "%(count)d lessons", count) % {
            "count": count
        }

    @admin.display(description="", empty_value="")
    def row_actions(self, node: Node) -> SafeString | str:
        child = kinds.child_kind(Kind(node.kind))
        if child is None:
            return ""
        return format_html(
            '<a class="add-child" href="{}?parent={}">{}</a>',
            reverse("admin:content_node_add"),
            node.pk,
            _ADD_CHILD[child],
        )

    # --- Moving -------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        move = path(
            "move/",
            self.admin_site.admin_view(self.move_view),
            name="content_node_move",
        )
        return [move, *super().get_urls()]

    def _move_node(self, request: HttpRequest) -> HttpResponse:
        """mptt's drop: the move, or why not; the page reloads and shows the message."""
        if (move := self._asked_move(request, request.POST)) is None:
            return HttpResponse("FAIL")
        node, target, position = move
        if node.subject_pk != target.subject_pk and _lessons_inside(node):
            # New bits: students' progress stays behind. Ask first.
            request.session[PENDING_MOVE] = {
                "cut_item": node.pk,
                "pasted_on": target.pk,
                "position": position,
            }
            return HttpResponse("ASK")
        return HttpResponse("OK" if self._move(request, *move) else "FAIL")

    def move_view(self, request: HttpRequest) -> HttpResponse:
        """Ask before a move that leaves students' progress behind; POST moves."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        tree_page = HttpResponseRedirect(reverse("admin:content_node_changelist"))
        move = self._asked_move(request, request.GET)
        if move is None:
            return tree_page
        if request.method == "POST":
            self._move(request, *move)
            return tree_page
        node, target, _position = move
        subjects = Node.objects.in_bulk([node.subject_pk, target.subject_pk])
        context = {
            **self.admin_site.each_context(request),
            "title": _("Move to another subject?"),
            "opts": self.opts,
            "node": node,
            "lessons": _lessons_inside(node),
            "old_subject": subjects[node.subject_pk],
            "new_subject": subjects[target.subject_pk],
        }
        return TemplateResponse(
            request, "admin/content/node/move_confirmation.html", context
        )

    def _asked_move(
        self, request: HttpRequest, asked: Any
    ) -> tuple[Node, Node, services.Position] | None:
        """The nodes and position a request names; None, and a message, if it cannot."""
        position = asked.get("position")
        keys = asked.get("cut_item", ""), asked.get("pasted_on", "")
        if position not in ("first-child", "last-child", "left", "right") or not all(
            key.isdecimal() and len(key) < 19 for key in keys
        ):
            messages.error(request, _("That move was not understood. Reload the page."))
            return None
        found = Node.objects.in_bulk([int(key) for key in keys])
        if len(found) < len(set(keys)):
            messages.error(
                request, _("The content has been deleted meanwhile. Reload the page.")
            )
            return None
        node, target = (found[int(key)] for key in keys)
        if not self.has_change_permission(request, node):
            messages.error(request, _("You may not move content."))
            return None
        return node, target, position

    def _move(
        self,
        request: HttpRequest,
        node: Node,
        target: Node,
        position: services.Position,
    ) -> bool:
        try:
            services.move_node(node=node, target=target, position=position)
        except StructureError as refusal:
            messages.error(request, refusal.message)
            return False
        except InvalidMove:
            messages.error(
                request,
                _("“%(title)s” cannot move into itself.") % {"title": node.title},
            )
            return False
        moved = Node.objects.select_related("parent").get(pk=node.pk)
        parent = moved.parent.title if moved.parent else _("the top of the tree")
        note = _("Moved to “%(parent)s”") % {"parent": parent}
        self._log(request, [moved], note)
        messages.success(
            request,
            _("“%(title)s” now lies in “%(parent)s”.")
            % {"title": moved.title, "parent": parent},
        )
        return True

    # --- Bulk actions -------------------------------------------------------

    def get_actions(self, request: HttpRequest) -> Any:
        """What fits the page: in the trash one restores, elsewhere one does not."""
        # Past mptt's deletion, which writes the tree without our locks.
        offered = super(MPTTModelAdmin, self).get_actions(request)
        if request.GET.get("state") == "trash":
            fitting = {"restore", "delete_selected"}
        else:
            fitting = set(offered) - {"restore"}
        return {name: action for name, action in offered.items() if name in fitting}

    @admin.action(description=gettext_lazy("Publish"), permissions=["change"])
    def publish(self, request: HttpRequest, queryset: QuerySet[Node]) -> None:
        self._set_published(request, queryset, published=True)

    @admin.action(
        description=gettext_lazy("Publish with all inside"), permissions=["change"]
    )
    def publish_with_contents(
        self, request: HttpRequest, queryset: QuerySet[Node]
    ) -> None:
        inside = Node.objects.get_queryset_descendants(queryset, include_self=True)
        self._set_published(
            request, inside.filter(trashed_at__isnull=True), published=True
        )

    @admin.action(description=gettext_lazy("Make a draft"), permissions=["change"])
    def unpublish(self, request: HttpRequest, queryset: QuerySet[Node]) -> None:
        self._set_published(request, queryset, published=False)

    def _set_published(
        self, request: HttpRequest, queryset: QuerySet[Node], *, published: bool
    ) -> None:
        """One UPDATE, which counts as an edit of each subject (`NodeQuerySet`)."""
        nodes = list(queryset.exclude(is_published=published))
        Node.objects.filter(pk__in=[node.pk for node in nodes]).update(
            is_published=published, updated_at=timezone.now()
        )
        self._log(request, nodes, _("Published") if published else _("Made a draft"))
        count = len(nodes)
        said = (
            ngettext("%(count)d published.", "%(count)d published.", count)
            if published
            else ngettext(
                "%(count)d is now a draft.", "%(count)d are now drafts.", count
            )
        )
        messages.success(request, said % {"count": count})

    @admin.action(description=gettext_lazy("Move to the trash"), permissions=["change"])
    def move_to_trash(self, request: HttpRequest, queryset: QuerySet[Node]) -> None:
        count = self._each(request, queryset, services.trash_node, _("To the trash"))
        said = ngettext(
            "%(count)d is in the trash now. Restore it there.",
            "%(count)d are in the trash now. Restore them there.",
            count,
        )
        messages.success(request, said % {"count": count})

    @admin.action(
        description=gettext_lazy("Restore from the trash"), permissions=["change"]
    )
    def restore(self, request: HttpRequest, queryset: QuerySet[Node]) -> None:
        count = self._each(request, queryset, services.restore_node, _("Restored"))
        said = ngettext("%(count)d restored.", "%(count)d restored.", count)
        messages.success(request, said % {"count": count})

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[Node],
        change: Callable[..., Node],
        note: str,
    ) -> int:
        done = []
        for node in queryset:
            try:
                done.append(change(node=node))
            except StructureError as refusal:
                messages.error(request, refusal.message)
        self._log(request, done, note)
        return len(done)

    def _log(self, request: HttpRequest, nodes: Sequence[Node], note: str) -> None:
        """A line in each node's history."""
        if nodes:
            LogEntry.objects.log_actions(
                user_id=cast(int, request.user.pk),
                queryset=nodes,
                action_flag=CHANGE,
                change_message=note,
            )

    # --- Choosing content elsewhere -----------------------------------------

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Node], search_term: str
    ) -> tuple[QuerySet[Node], bool]:
        """Also for other pages' choosers: without the trash, and with
        ``?subjects=1,2`` only what lies in these."""
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        if request.path == reverse("admin:autocomplete"):
            found = found.filter(trashed_at__isnull=True).select_related("parent")
            asked = request.GET.get("subjects", "").split(",")
            subjects = [int(pk) for pk in asked if pk.isdecimal() and len(pk) < 19]
            if subjects:
                found = found.filter(Q(pk__in=subjects) | Q(subject_id__in=subjects))
        return found, may_repeat

    def autocomplete_label(self, node: Node) -> str:
        """A choice in another page's chooser; titles alone repeat."""
        label = f"{node.get_kind_display()}: {node.title}"
        return f"{label} ‹ {node.parent.title}" if node.parent else label


def _lessons_inside(node: Node) -> int:
    inside = node.get_descendants(include_self=True)
    return cast(int, inside.filter(kind=NodeKind.LESSON).count())


_ADD_CHILD = {
    Kind.TRACK: gettext_lazy("+ Track"),
    Kind.UNIT: gettext_lazy("+ Unit"),
    Kind.TOPIC: gettext_lazy("+ Topic"),
    Kind.LESSON: gettext_lazy("+ Lesson"),
}
