"""The admin page of one node and of a lesson's stages.

It writes through `content.services`.
"""

from contextlib import nullcontext
from typing import Any

from adminsortable2.admin import SortableAdminBase
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _, gettext_lazy

from content import kinds, services, stage_editor
from content.admin.stages import StageInline, media_faults
from content.admin.unfinished import MergedLessons
from content.field_lists import NodeFields
from content.forms import NodeForm
from content.hooks import lesson_panels, node_links
from content.kinds import Kind
from content.media import library
from content.models import Node
from content.queries import neighbours
from core.errors import StructureError
from core.parsing import is_key


class NodePage(MergedLessons, SortableAdminBase, admin.ModelAdmin):  # type: ignore[type-arg]
    """The page to add and change one node of the tree."""

    form = NodeForm
    inlines = (StageInline,)
    save_on_top = True

    def _kind(self, request: HttpRequest, obj: Node | None) -> Kind:
        """Return the kind of the node; for a new node, the kind below its parent."""
        if obj is not None:
            return Kind(obj.kind)
        parent = self._parent(request)
        child = kinds.child_kind(Kind(parent.kind)) if parent else Kind.SUBJECT
        return child or Kind.LESSON

    def _parent(self, request: HttpRequest) -> Node | None:
        """Return the parent of a new node, from ``?parent=``; None for a subject.

        Raises:
            StructureError: there is no such node, or it is a lesson.
        """
        if not hasattr(request, "parent_node"):
            value = request.GET.get("parent", "")
            request.parent_node = self._find_parent(value)  # type: ignore[attr-defined]
        found: Node | None = request.parent_node  # type: ignore[attr-defined]
        return found

    def _find_parent(self, value: str) -> Node | None:
        if not value:
            return None
        parent: Node | None = (
            Node.objects.filter(pk=value).first() if is_key(value) else None
        )
        if parent is None:
            raise StructureError(
                _("The entry to add to no longer exists. Choose another place.")
            )
        if kinds.child_kind(Kind(parent.kind)) is None:
            raise StructureError(
                _("“%(title)s” is a lesson. A lesson can contain only stages.")
                % {"title": parent.title}
            )
        return parent

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        extra = dict(extra_context or {})
        try:
            if object_id is None:
                extra["parent_node"] = self._parent(request)
                extra["title"] = _ADD[self._kind(request, None)]
            with transaction.atomic() if request.method == "POST" else nullcontext():
                if request.method == "POST":
                    self._merge_posted(request, object_id)
                answer = super().changeform_view(request, object_id, form_url, extra)
                return self._keep_unfinished(request, answer) or answer
        except StructureError as refusal:
            messages.error(request, refusal.message)
        return HttpResponseRedirect(reverse("admin:content_node_changelist"))

    def render_change_form(  # type: ignore[override]
        self, request: HttpRequest, context: dict[str, Any], **kwargs: Any
    ) -> HttpResponse:
        obj: Node | None = kwargs.get("obj")
        if obj:
            context["title"] = capfirst(obj.get_kind_display())
            context["links"] = node_links(request, obj)
        response: HttpResponse = super().render_change_form(request, context, **kwargs)
        if self._kind(request, obj) is Kind.LESSON:
            response.template_name = _LESSON_PAGE  # type: ignore[attr-defined]
            response.context_data |= _lesson_context(request, obj)  # type: ignore[attr-defined]
            response.context_data["media_faults"] = media_faults(context)  # type: ignore[attr-defined]
            conflicts = getattr(request, "merge_conflicts", [])
            response.context_data["conflicts"] = conflicts  # type: ignore[attr-defined]
        return response

    def response_add(
        self, request: HttpRequest, obj: Node, post_url_continue: str | None = None
    ) -> HttpResponse:
        answer: HttpResponse = super().response_add(request, obj, post_url_continue)
        return self._next_page(request, obj) or answer

    def response_change(self, request: HttpRequest, obj: Node) -> HttpResponse:
        self.discard_unfinished(str(obj.pk))
        answer: HttpResponse = super().response_change(request, obj)
        return self._next_page(request, obj) or answer

    @staticmethod
    def _next_page(request: HttpRequest, obj: Node) -> HttpResponse | None:
        """Return the redirect for the pressed button; None for Django's default."""
        if "_preview" in request.POST:
            url = reverse("admin:preview_lesson", args=[obj.public_id])
            return HttpResponseRedirect(url)
        if "_addanother" in request.POST and obj.parent_id is not None:
            add = reverse("admin:content_node_add")
            return HttpResponseRedirect(f"{add}?parent={obj.parent_id}")
        return None

    def get_form(  # type: ignore[override]
        self, request: HttpRequest, obj: Node | None = None, **kwargs: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, **kwargs)
        return type(form)(form.__name__, (form,), {"kind": self._kind(request, obj)})

    def get_fieldsets(self, request: HttpRequest, obj: Node | None = None) -> Any:
        kind = self._kind(request, obj)
        if kind is Kind.LESSON:
            return self._lesson_fieldsets(request, obj)
        title, *others = NodeFields.PRESENTATION
        own = [title, "public_id", *others]
        if obj is not None and self.has_change_permission(request, obj):
            own.append("seen")
        return [
            (None, {"fields": own}),
            (
                _("For students"),
                {"fields": [*NodeFields.VISIBILITY, *NodeFields.ACCESS]},
            ),
        ]

    def _lesson_fieldsets(self, request: HttpRequest, obj: Node | None) -> Any:
        """Return what is above a lesson's stages, and the folded settings below them."""
        title, *others = NodeFields.PRESENTATION
        above: list[Any] = [(title, "is_published")]
        if obj is not None and self.has_change_permission(request, obj):
            above.append("seen")
        settings = ["public_id", *others, *NodeFields.REWARD, *NodeFields.ACCESS]
        return [
            (None, {"fields": above}),
            (_("Settings"), {"fields": settings, "classes": ["collapse"]}),
        ]

    def get_readonly_fields(
        self, request: HttpRequest, obj: Node | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("public_id",)

    def get_inline_instances(
        self, request: HttpRequest, obj: Node | None = None
    ) -> list[Any]:
        if self._kind(request, obj) is not Kind.LESSON:
            return []
        return list(super().get_inline_instances(request, obj))

    def save_model(
        self, request: HttpRequest, obj: Node, form: Any, change: bool
    ) -> None:
        if change:
            changed = [name for name in form.changed_data if name in NodeFields.FORM]
            obj.save(update_fields=[*changed, "updated_at"])
        else:
            values = {
                name: value
                for name, value in form.cleaned_data.items()
                if name in NodeFields.FORM
            }
            created = services.create_node(
                kind=self._kind(request, None), parent=self._parent(request), **values
            )
            # The admin continues with ``obj``: it logs it and saves its stages.
            obj.__dict__.update(created.__dict__)
        if "image" in form.changed_data and obj.image:
            library.index_image(str(obj.image))

    def delete_model(self, request: HttpRequest, obj: Node) -> None:
        services.delete_node(node=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Node]) -> None:
        services.delete_nodes(nodes=list(queryset))


_LESSON_PAGE = "admin/content/node/lesson_form.html"


def _lesson_context(request: HttpRequest, lesson: Node | None) -> dict[str, Any]:
    """Return the context of a lesson's page besides the form."""
    saved = lesson is not None and lesson.pk is not None
    return {
        "stage_types": stage_editor.type_choices(),
        "stage_editor": stage_editor.settings_of(
            lesson.pk if saved and lesson else None
        ),
        "notes": lesson_panels(request, lesson) if saved and lesson else [],
        "neighbours": neighbours(lesson) if saved and lesson else (None, None),
    }


_ADD = {
    Kind.SUBJECT: gettext_lazy("New subject"),
    Kind.TRACK: gettext_lazy("New track"),
    Kind.UNIT: gettext_lazy("New unit"),
    Kind.TOPIC: gettext_lazy("New topic"),
    Kind.LESSON: gettext_lazy("New lesson"),
}
