"""The POST views of the tree page.

Each view parses the request, calls a service of `content` for one change, and returns
JSON: a message, and where moved or new nodes are in the tree.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    JsonResponse,
)
from django.utils.translation import gettext as _, gettext_lazy, ngettext

from content import copying, kinds, locks, products, services, tree_updates, undo
from content.admin.bulk_edits import CHANGES, Change, confirmation_for
from content.admin.lesson import NodePage
from content.admin.tree_search import expanded_path
from content.kinds import Kind
from content.models import Node, NodeKind
from core.errors import StructureError
from core.parsing import is_key

MAX_CHOSEN = 500
"""How many rows one request may change."""

MAX_LOGGED = 5
"""How many of one request's nodes are added to the admin's list of recent actions."""

_POSITIONS = ("first-child", "last-child", "left", "right")


class BadRequest(Exception):
    """A request that the page never sends."""


class TreeChanges(NodePage):
    """The changes that the tree page can make."""

    def _answer(
        self, request: HttpRequest, right: str, work: Callable[[], dict[str, Any]]
    ) -> HttpResponse:
        """Call ``work`` and return its result as JSON, or why it was refused (409).

        Raises:
            PermissionDenied: the user lacks the permission ``right``.
            StructureError: the rules of the tree refuse it
                (`memora_site.conflict_retry`).
        """
        if not getattr(self, f"has_{right}_permission")(request):
            raise PermissionDenied
        try:
            with transaction.atomic():
                return JsonResponse(work())
        except ValidationError as error:
            message = " ".join(error.messages)
        except BadRequest:
            return HttpResponseBadRequest()
        return JsonResponse({"error": message}, status=409)

    def quick_add_view(self, request: HttpRequest) -> HttpResponse:
        """Create a draft with ``title``, last in ``parent`` or beside a node.

        ``beside`` and ``side`` name a sibling. ``kind`` is the kind that the editor
        sees; it must match the place.
        """
        return self._answer(request, "add", lambda: self._quick_add(request))

    def _quick_add(self, request: HttpRequest) -> dict[str, Any]:
        title = request.POST.get("title", "").strip()
        sibling_and_side = None
        if neighbour := request.POST.get("beside", ""):
            side = request.POST.get("side")
            if side not in ("left", "right"):
                raise BadRequest
            [sibling] = _nodes([neighbour])
            sibling_and_side = (sibling, side)
            kind, parent = Kind(sibling.kind), sibling.parent
        else:
            parent = self._find_parent(request.POST.get("parent", ""))
            child = kinds.child_kind(Kind(parent.kind)) if parent else Kind.SUBJECT
            kind = child or Kind.LESSON
        if request.POST.get("kind") != kind.value:
            raise BadRequest
        node = services.create_node(
            kind=kind,
            parent=parent,
            title=title,
            beside=cast(Any, sibling_and_side),
        )
        self._log(request, [node], _("Added in the tree"), flag=ADDITION)
        message = _("“%(title)s” was added as a draft.") % {"title": title}
        return {
            "message": message,
            "pk": node.pk,
            "open_branches": expanded_path([node.pk]),
        }

    def move_view(self, request: HttpRequest) -> HttpResponse:
        """Move ``nodes`` to a ``position`` at ``target``.

        A move that loses students' progress is confirmed first.
        """
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
            return {"message": ""}
        inside = position in ("first-child", "last-child")
        parent = target if inside else target.parent
        place = parent.title if parent else _("the top of the tree")
        self._log(request, moved, _("Moved to “%(parent)s”") % {"parent": place})
        return {
            "message": _message_for(
                nodes,
                _("“%(title)s” is now in “%(parent)s”."),
                ngettext(
                    "%(count)d entry is now in “%(parent)s”.",
                    "%(count)d entries are now in “%(parent)s”.",
                    len(nodes),
                ),
                parent=place,
            ),
            "undo": record,
            "open_branches": expanded_path([node.pk for node in moved]),
        }

    def _question_of_move(
        self, request: HttpRequest, nodes: Sequence[Node], target: Node
    ) -> dict[str, Any] | None:
        """Return a question when lessons get new bits in another subject.

        Students' progress stays in the old subject.
        """
        leaving = [node for node in nodes if node.subject_pk != target.subject_pk]
        leaving = [node for node in leaving if node.kind != NodeKind.SUBJECT]
        lessons = count_lessons(leaving)
        if not lessons or "confirmed" in request.POST:
            return None
        if kinds.parent_kind(Kind(leaving[0].kind)) is None:
            return None
        old, new = leaving[0].subject, Node.objects.get(pk=target.subject_pk)
        message = ngettext(
            "%(count)d lesson will move from “%(old)s” to “%(new)s”. Students' "
            "progress on it stays in the old subject. They start it again in the new "
            "subject, even if you move it back.",
            "%(count)d lessons will move from “%(old)s” to “%(new)s”. Students' "
            "progress on them stays in the old subject. They start them again in the "
            "new subject, even if you move them back.",
            lessons,
        )
        return {
            "question": message % {"count": lessons, "old": old, "new": new},
            "title": _("Move to another subject?"),
            "confirm_label": _("Move"),
            "cancel_label": _("Do not move"),
        }

    def copy_view(self, request: HttpRequest) -> HttpResponse:
        """Copy ``nodes``, each after its original, or into ``target``."""
        return self._answer(request, "add", lambda: self._copy(request))

    def _copy(self, request: HttpRequest) -> dict[str, Any]:
        target_key = request.POST.get("target", "")
        parent = _nodes([target_key])[0] if target_key else None
        copies = copying.copy_nodes(nodes=_chosen(request), parent=parent)
        self._log(request, copies, _("Created as a copy"), flag=ADDITION)
        lessons = count_lessons(copies)
        message = _message_for(
            copies,
            _("“%(title)s” was added as a draft."),
            ngettext(
                "%(count)d copy was added as a draft.",
                "%(count)d copies were added as drafts.",
                len(copies),
            ),
        )
        if lessons:
            message += " " + ngettext(
                "%(count)d lesson was copied with its stages.",
                "%(count)d lessons were copied with their stages.",
                lessons,
            ) % {"count": lessons}
        return {
            "message": message,
            "pk": copies[0].pk,
            "open_branches": expanded_path([node.pk for node in copies]),
        }

    def do_view(self, request: HttpRequest) -> HttpResponse:
        """Change ``nodes``; ``do`` names the change."""
        return self._answer(request, "change", lambda: self._do(request))

    def _do(self, request: HttpRequest) -> dict[str, Any]:
        nodes = _chosen(request)
        match request.POST.get("do"):
            case "trash":
                return self._trash(request, nodes)
            case "restore":
                return self._restore(request, nodes)
            case name:
                if name not in CHANGES:
                    raise BadRequest
                if CHANGES[name].is_of_one and len(nodes) > 1:
                    raise BadRequest
                return self._change(request, nodes, CHANGES[name])

    def _trash(self, request: HttpRequest, nodes: Sequence[Node]) -> dict[str, Any]:
        done = services.trash_nodes(nodes=nodes)
        if not done:
            return {"message": str(_NO_CHANGE)}
        self._log(request, done, _("Moved to the trash"))
        message = _message_for(
            done,
            _("“%(title)s” was moved to the trash."),
            ngettext(
                "%(count)d entry was moved to the trash. You can restore it there.",
                "%(count)d entries were moved to the trash. You can restore them "
                "there.",
                len(done),
            ),
        )
        return {"message": message, "undo": undo.of_trash(done)}

    def _restore(self, request: HttpRequest, nodes: Sequence[Node]) -> dict[str, Any]:
        done = services.restore_nodes(nodes=nodes)
        if not done:
            return {"message": str(_NO_CHANGE)}
        self._log(request, done, _("Restored"))
        message = ngettext(
            "%(count)d entry was restored.",
            "%(count)d entries were restored.",
            len(done),
        )
        message %= {"count": len(done)}
        hiding = (
            tree_updates.ancestors_of(done).filter(trashed_at__isnull=False).first()
        )
        if hiding is not None:
            reason = _(
                "The entries inside “%(title)s” stay hidden until it is restored, too."
            )
            message += " " + reason % {"title": hiding.title}
        return {"message": message}

    def _change(
        self, request: HttpRequest, nodes: Sequence[Node], change: Change
    ) -> dict[str, Any]:
        """Set one value on ``nodes``, and on their descendants if ``includes_descendants``."""
        _states, chosen = locks.lock_nodes(*nodes)
        name, value = change.field, change.value
        if value is None:
            value = request.POST.get("value", "").strip()
            if value and name == "required_item":
                products.require_known(value)
        if change.includes_descendants:
            inside = tree_updates.subtrees_of(chosen).filter(trashed_at__isnull=True)
            others = list(inside.exclude(**{name: value}).only("title", name))
        else:
            others = [node for node in chosen if getattr(node, name) != value]
        question = confirmation_for(change, chosen, others, value)
        if question and "confirmed" not in request.POST:
            return question
        record = undo.of_change(name, value, others)
        changed = services.change_nodes(nodes=others, **{name: value})
        if not changed:
            return {"message": str(_NO_CHANGE)}
        worked_on = chosen if change.includes_descendants else changed
        self._log(request, worked_on, str(change.note))
        message = ngettext(
            "%(what)s: %(count)d entry.", "%(what)s: %(count)d entries.", len(changed)
        )
        message %= {"what": change.note, "count": len(changed)}
        return {"message": message, "undo": record}

    def undo_view(self, request: HttpRequest) -> HttpResponse:
        """Undo the change in the signed ``record`` (`content.undo`).

        With ``again``, the record is of an undone change, which is redone.
        """
        return self._answer(request, "change", lambda: self._undo(request))

    def _undo(self, request: HttpRequest) -> dict[str, Any]:
        nodes, inverse = undo.undo(request.POST.get("record", ""))
        if "again" in request.POST:
            self._log(request, nodes, _("Change redone"))
            return {"message": _("The change was made again."), "undo": inverse}
        self._log(request, nodes, _("Change undone"))
        return {"message": _("The change was undone."), "redo": inverse}

    def _log(
        self,
        request: HttpRequest,
        nodes: Sequence[Node],
        note: str,
        flag: int = CHANGE,
    ) -> None:
        """Log the change in the admin's list of recent actions.

        Of many nodes only the first ones are logged; the history of each node holds the
        details (`content.history.recording`).
        """
        if nodes:
            LogEntry.objects.log_actions(
                user_id=cast(int, request.user.pk),
                queryset=nodes[:MAX_LOGGED],
                action_flag=flag,
                change_message=note,
            )


_NO_CHANGE = gettext_lazy("Nothing to change.")


def _message_for(
    nodes: Sequence[Node], of_one: str, of_many: str, **values: str
) -> str:
    if len(nodes) == 1:
        return of_one % {"title": nodes[0].title, **values}
    return of_many % {"count": len(nodes), **values}


def _chosen(request: HttpRequest) -> list[Node]:
    """Return the nodes of a request, in tree order.

    Raises:
        BadRequest: there are none, or a key is not valid.
        StructureError: there are too many, or one was deleted.
    """
    keys = request.POST.getlist("nodes")
    if not keys:
        raise BadRequest
    if len(keys) > MAX_CHOSEN:
        raise StructureError(
            _("Select at most %(count)d entries at a time.") % {"count": MAX_CHOSEN}
        )
    return _nodes(keys)


def _nodes(keys: Sequence[str]) -> list[Node]:
    if not all(is_key(key) for key in keys):
        raise BadRequest
    sibling = Node.objects.filter(pk__in=set(keys)).select_related("parent", "subject")
    nodes = list(sibling.order_by("tree_id", "lft"))
    if len(nodes) < len(set(keys)):
        raise StructureError(_("This content has been deleted. Reload the page."))
    return nodes


def count_lessons(nodes: Sequence[Node]) -> int:
    return tree_updates.subtrees_of(nodes).filter(kind=NodeKind.LESSON).count()
