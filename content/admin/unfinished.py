"""A lesson's page merges what is posted, and keeps lessons that are not finished."""

from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from content import locks, merging, unfinished as unfinished_lessons
from content.drafts.pages import DraftPages, clock
from content.forms import NodeForm
from content.models import Node, NodeKind, UnfinishedLesson
from core.parsing import as_key, is_key


class MergedLessons(DraftPages):
    """Mixin for the page of a lesson that several users may save."""

    def _merge_posted(self, request: HttpRequest, object_id: str | None) -> None:
        """Merge a lesson's posted form with what others saved meanwhile.

        The lesson's subject stays locked until the transaction ends.
        """
        admin: Any = self
        lesson = self._lesson(object_id)
        if lesson is None or not admin.has_change_permission(request, lesson):
            return
        locks.lock_subjects([lesson.subject_pk])
        request.POST = self._merged(request, request.POST.copy(), lesson)  # type: ignore[assignment]

    def _keep_unfinished(
        self, request: HttpRequest, answer: HttpResponse
    ) -> HttpResponse | None:
        """Keep a posted lesson whose stages are not complete; return the redirect.

        None if the form was saved, or refused for another reason. A new lesson is
        created as a draft without stages.
        """
        context: dict[str, Any] = getattr(answer, "context_data", None) or {}
        inlines = context.get("inline_admin_formsets")
        if request.method != "POST" or not inlines:
            return None
        form, formset = context["adminform"].form, inlines[0].formset
        if not form.is_valid() or not any(formset.errors):
            return None
        lesson: Node = form.instance
        if lesson.pk is None:
            form.cleaned_data["is_published"] = False
            admin: Any = self
            admin.save_model(request, lesson, form, change=False)
            admin.log_addition(request, lesson, _("Created, not finished"))
        try:
            unfinished_lessons.keep_unfinished(
                cast(QueryDict, request.POST),
                lesson=lesson,
                user_pk=request.user.pk,
                now=timezone.now(),
            )
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
            return None
        self.discard_draft(request)
        messages.warning(
            request,
            _(
                "The lesson is kept, but it is not finished: students do not see these "
                "changes before everything below is complete."
            ),
        )
        page = reverse("admin:content_node_change", args=[lesson.pk])
        return HttpResponseRedirect(page)

    def unsaved_data(
        self, request: HttpRequest, object_id: str | None, extra: dict[str, Any]
    ) -> QueryDict | None:
        """Return the editor's draft, or else the lesson's unfinished version."""
        data = super().unsaved_data(request, object_id, extra)
        unfinished = (
            UnfinishedLesson.objects.filter(lesson_id=as_key(object_id or ""))
            .select_related("lesson", "saved_by")
            .first()
        )
        if unfinished is None:
            return data
        extra["unfinished"] = unfinished
        extra["unfinished_time"] = clock(unfinished.saved_at)
        if data is None:
            stored = unfinished_lessons.stored_content(unfinished.lesson)
            data = unfinished_lessons.unfinished_data(unfinished, stored)
            data["seen"] = NodeForm.version(unfinished.lesson)
        return data

    def discard_unfinished(self, page: str) -> None:
        UnfinishedLesson.objects.filter(lesson_id=as_key(page)).delete()

    def before_restoring(
        self, request: HttpRequest, object_id: str | None, data: QueryDict
    ) -> None:
        lesson = self._lesson(object_id)
        if lesson is None:
            super().before_restoring(request, object_id, data)
            return
        merged = self._merged(request, data, lesson)
        data.clear()
        for name, values in merged.lists():
            data.setlist(name, values)

    @staticmethod
    def _lesson(object_id: str | None) -> Node | None:
        if object_id is None or not is_key(object_id):
            return None
        lessons = Node.objects.filter(kind=NodeKind.LESSON)
        found: Node | None = lessons.filter(pk=object_id).first()
        return found

    def _merged(self, request: HttpRequest, data: QueryDict, lesson: Node) -> QueryDict:
        """Return the data merged with the stored lesson, and tell the user about it."""
        stored = unfinished_lessons.current_content(lesson)
        merged = merging.merge(data, stored=stored, lesson_pk=lesson.pk)
        request.merge_conflicts = merged.conflicts  # type: ignore[attr-defined]
        for note in merged.notes:
            messages.info(request, note)
        return merged.data
