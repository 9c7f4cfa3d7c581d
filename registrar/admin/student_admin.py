"""Admin of the students' pages: accounts, cards, and requests that students sent."""

from abc import abstractmethod
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, gettext_lazy

from core.admin_mixins import AbstractAdmin, ReadOnlyAdmin
from core.badges import badge
from players.errors import PlayerNotFoundError
from players.models import PlayerProfile
from players.services import selection
from registrar.admin import links, staff_log
from registrar.models import Student, StudentAccount, StudentCard, Submission
from registrar.student_pages import cards, linking

_STUDENTS = "BTEC_Students"


class ReasonForm(forms.Form):
    """The reason of a step that cannot be undone."""

    reason = forms.CharField(
        label=gettext_lazy("Reason (the admin's log shows it)"), max_length=200
    )


class ReasonedAdmin(ReadOnlyAdmin, metaclass=AbstractAdmin):
    """Read-only rows with one step for which staff give a reason."""

    step: ClassVar[str]
    step_label: ClassVar[Any]
    step_question: ClassVar[Any]
    step_permission: ClassVar[str]
    change_form_template = "admin/registrar/reasoned_form.html"

    def get_urls(self) -> list[URLPattern]:
        own = path(
            f"<path:object_id>/{self.step}/",
            self.admin_site.admin_view(self.ask),
            name=f"registrar_{self.opts.model_name}_{self.step}",
        )
        return [own, *super().get_urls()]

    def can_step(self, request: HttpRequest, row: Any) -> bool:
        """Whether the user may do the step with this row."""
        del row
        return request.user.has_perm(self.step_permission)

    @abstractmethod
    def do_step(self, request: HttpRequest, row: Any, reason: str) -> None:
        """Do the step with this row, and note the reason in the admin log."""

    def ask(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the reason, and do the step.

        Raises:
            PermissionDenied: the user may not do it.
            Http404: there is no such row.
        """
        if not request.user.has_perm(self.step_permission):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        form = ReasonForm(request.POST or None)
        if self.can_step(request, row) and form.is_valid():
            with transaction.atomic():
                self.do_step(request, row, form.cleaned_data["reason"])
            name = f"admin:registrar_{self.opts.model_name}_changelist"
            return HttpResponseRedirect(reverse(name))
        context = {
            **self.admin_site.each_context(request),
            "title": self.step_label,
            "opts": self.opts,
            "row": row,
            "form": form,
            "question": self.step_question,
        }
        return TemplateResponse(request, "admin/registrar/reason.html", context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any
    ) -> Any:
        row = options.get("obj")
        if row is not None and self.can_step(request, row):
            name = f"admin:registrar_{self.opts.model_name}_{self.step}"
            context["step_url"] = reverse(name, args=[row.pk])
            context["step_label"] = self.step_label
        return super().render_change_form(request, context, *args, **options)


class LinkForm(forms.ModelForm):  # type: ignore[type-arg]
    """Which student and which player; staff have checked that they are one person."""

    zoho_id = forms.CharField(label=gettext_lazy("Zoho id of the student"))
    player_name = forms.CharField(
        label=gettext_lazy("Number or e-mail of the player"),
        help_text=gettext_lazy(
            "The player will be able to open all the school's records of the student."
        ),
    )
    reason = forms.CharField(
        label=gettext_lazy("How you checked it (the admin's log shows it)"),
        max_length=200,
    )

    class Meta:
        model = StudentAccount
        fields: ClassVar[list[str]] = []

    def clean_zoho_id(self) -> str:
        zoho_id = str(self.cleaned_data["zoho_id"]).strip()
        student = Student.objects.filter(zoho_id=zoho_id, deleted_at=None).first()
        if student is None:
            raise forms.ValidationError(_("There is no such student."))
        self.instance.student = student
        return zoho_id

    def clean_player_name(self) -> str:
        text = str(self.cleaned_data["player_name"]).strip()
        try:
            player = PlayerProfile.objects.select_related("user").get(
                pk=selection.find(text)
            )
        except PlayerNotFoundError as error:
            raise forms.ValidationError(error.message) from None
        self.instance.player = player
        return text

    def clean(self) -> dict[str, Any]:
        found = self.cleaned_data
        if "zoho_id" in found and "player_name" in found:
            student, player = self.instance.student, self.instance.player
            if obstacles := linking.obstacles(student, player):
                raise forms.ValidationError(obstacles)
        return found


@admin.register(StudentAccount)
class StudentAccountAdmin(ReasonedAdmin):
    """Which player each student is. A link is added or removed, never changed."""

    step = "unlink"
    step_label = gettext_lazy("Unlink")
    step_question = gettext_lazy(
        "The player will no longer open the student's pages; sessions end at once. What "
        "the registration gave to the player is taken away."
    )
    step_permission = "registrar.delete_studentaccount"
    list_display = ("record", "player_shown", "linked_at")
    list_select_related = ("student", "player__user")
    search_fields = ("=student__zoho_id", "=player__user__email")
    search_help_text = gettext_lazy("Search by Zoho id or the player's e-mail")
    ordering = ("-pk",)
    fields = readonly_fields = ("record", "player_shown", "linked_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("registrar.add_studentaccount")

    def get_form(
        self,
        request: HttpRequest,
        obj: Any = None,
        change: bool = False,
        **options: Any,
    ) -> Any:
        if obj is None:
            return LinkForm
        return super().get_form(request, obj, change, **options)

    def get_fields(self, _request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj else ("zoho_id", "player_name", "reason")

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj else ()

    def log_addition(self, request: HttpRequest, obj: Any, _message: Any) -> Any:
        reason = str(request.POST.get("reason", ""))[:200]
        self._note(request, obj, _("Linked: %(reason)s") % {"reason": reason})

    def do_step(self, request: HttpRequest, row: StudentAccount, reason: str) -> None:
        self._note(request, row, _("Unlinked: %(reason)s") % {"reason": reason})
        linking.unlink(row)
        messages.success(request, _("The student and the player are no longer linked."))

    def _note(self, request: HttpRequest, row: StudentAccount, message: str) -> None:
        shown = f"{row.student.zoho_id} #{row.player_id}"
        staff_log.note(request, StudentAccount, message, row=row, shown=shown)

    @admin.display(description=gettext_lazy("student"))
    def record(self, row: StudentAccount) -> SafeString:
        return links.timeline(_STUDENTS, row.student.zoho_id, str(row.student))

    @admin.display(description=gettext_lazy("player in the app"))
    def player_shown(self, row: StudentAccount) -> SafeString:
        return format_html(
            '<bdi dir="ltr">#{}</bdi> <bdi>{}</bdi>', row.player_id, row.player.user
        )


@admin.register(StudentCard)
class StudentCardAdmin(ReasonedAdmin):
    """The cards of students; a card can be withdrawn."""

    step = "withdraw"
    step_label = gettext_lazy("Withdraw")
    step_question = gettext_lazy(
        "Whoever scans the card will see that it is withdrawn. This cannot be undone; the "
        "student may make a new card."
    )
    step_permission = "registrar.change_studentcard"
    list_display = ("record", "number", "issued_at", "valid_until", "state")
    list_filter = ("issued_at", "withdrawn_at")
    list_select_related = ("student",)
    search_fields = ("=student__zoho_id", "=number")
    search_help_text = gettext_lazy("Search by Zoho id or number")
    ordering = ("-pk",)
    fields = readonly_fields = (
        *("record", "number", "issued_at", "valid_until"),
        *("replaced_at", "withdrawn_at", "state"),
    )

    def can_step(self, request: HttpRequest, row: StudentCard) -> bool:
        return super().can_step(request, row) and row.withdrawn_at is None

    def do_step(self, request: HttpRequest, row: StudentCard, reason: str) -> None:
        if cards.withdraw(row, now=timezone.now()):
            staff_log.note(
                request,
                StudentCard,
                _("Withdrawn: %(reason)s") % {"reason": reason},
                row=row,
                shown=row.number,
            )
        messages.success(request, _("The card is withdrawn."))

    @admin.display(description=gettext_lazy("student"))
    def record(self, row: StudentCard) -> SafeString:
        return links.timeline(_STUDENTS, row.student.zoho_id, str(row.student))

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: StudentCard) -> SafeString:
        match cards.state_of(row, row.student, now=timezone.now()):
            case cards.CardState.VALID:
                return badge("●", _("valid"), "done")
            case cards.CardState.WITHDRAWN:
                return badge("✕", _("withdrawn"), "failed")
            case cards.CardState.REPLACED:
                return badge("○", _("replaced"), "quiet")
            case cards.CardState.EXPIRED:
                return badge("○", _("expired"), "quiet")
        return badge("○", _("no longer a student"), "quiet")


@admin.register(Submission)
class SubmissionAdmin(ReadOnlyAdmin):
    """Requests as students sent them. Receipts are in Zoho, and not shown here."""

    list_display = ("created_at", "record", "kind", "in_zoho")
    list_filter = ("kind", "created_at")
    list_select_related = ("student",)
    search_fields = ("=student__zoho_id", "=zoho_id")
    search_help_text = gettext_lazy("Search by Zoho id of the student or the request")
    ordering = ("-pk",)
    fields = readonly_fields = (
        *("created_at", "record", "kind", "description", "class_ids", "in_zoho"),
    )

    @admin.display(description=gettext_lazy("student"))
    def record(self, row: Submission) -> SafeString:
        return links.timeline(_STUDENTS, row.student.zoho_id, str(row.student))

    @admin.display(description=gettext_lazy("record in Zoho"))
    def in_zoho(self, row: Submission) -> SafeString:
        if row.zoho_id:
            return links.timeline("BTEC_Student_Requests", row.zoho_id, row.zoho_id)
        return badge("⟳", _("waiting to be sent"), "waiting")
