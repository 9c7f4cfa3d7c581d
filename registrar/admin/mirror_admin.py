"""Read-only admin of the mirror: records are changed in Zoho."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import BigIntegerField, QuerySet
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _, ngettext

from core.admin_mixins import ReadOnlyAdmin
from registrar import by_hand
from registrar.admin import links, staff_log, student_view
from registrar.mapping.modules import MAPPINGS
from registrar.models import (
    Enrolment,
    Grade,
    LinkedRow,
    MirrorRow,
    Payment,
    Program,
    Registration,
    SchoolClass,
    Student,
    StudentRequest,
    Teacher,
    Unit,
)

MODULE_OF: dict[type[MirrorRow], str] = {
    one.model: module for module, one in MAPPINGS.items()
}

MOST_AT_ONCE = 500
"""Rows that one action sends; the periodic task sends all others by itself."""


def tell_sent(request: HttpRequest, count: int) -> None:
    """Tell how many rows will be sent."""
    text = ngettext(
        "%(count)d record will be sent within 15 seconds.",
        "%(count)d records will be sent within 15 seconds.",
        count,
    )
    if count:
        messages.success(request, text % {"count": count})
    else:
        messages.info(request, _("Moodle and Zoho have everything already."))


class MirrorAdmin(ReadOnlyAdmin):
    """The list and the page of a table of the mirror; lookups are shown as ids."""

    shown: ClassVar[tuple[str, ...]] = ()
    list_filter: ClassVar[Any] = ("has_conflict", "deleted_at")
    search_fields: ClassVar[Any] = ("=zoho_id",)
    search_help_text = _("Search by Zoho id")
    ordering = ("-pk",)
    change_form_template = "admin/registrar/mirror_form.html"

    def get_list_display(self, *_args: Any) -> list[Any]:
        return [
            "zoho_id",
            *(self._column(name) for name in self.shown),
            *("modified_time", "deleted_at", "has_conflict", "timeline"),
        ]

    @admin.display(description=_("timeline"))
    def timeline(self, row: MirrorRow) -> SafeString:
        return links.timeline(MODULE_OF[type(row)], row.zoho_id)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any
    ) -> Any:
        row = options.get("obj")
        if row is not None:
            module = MODULE_OF[self.model]
            context["timeline_url"] = links.timeline_url(module, row.zoho_id)
        return super().render_change_form(request, context, *args, **options)

    def get_fields(self, *_args: Any) -> list[Any]:
        return [
            self._column(one.name)
            for one in self.model._meta.concrete_fields
            if one.editable and not one.primary_key
        ]

    def get_readonly_fields(self, *_args: Any) -> list[Any]:
        return self.get_fields()

    def _column(self, name: str) -> Any:
        """Return the column of a field; of a lookup, the id alone.

        The record that it names may be missing, and is not read.
        """
        field: Any = self.model._meta.get_field(name)
        if not field.is_relation:
            return name

        @admin.display(description=field.verbose_name, ordering=field.attname)
        def id_of(row: Any) -> Any:
            zoho_id = getattr(row, field.attname)
            if not zoho_id:
                return None
            return links.timeline(MODULE_OF[field.related_model], zoho_id, zoho_id)

        return id_of


class MoodleIdFilter(admin.SimpleListFilter):
    """Rows without an account or a course in Moodle, or whose id Zoho does not have."""

    title = _("Moodle id")
    parameter_name = "moodle"

    def lookups(self, *_args: Any) -> list[tuple[str, Any]]:
        return [
            ("none", _("none yet")),
            ("not_in_zoho", _("not in Zoho, or another one")),
            ("known", _("known")),
        ]

    def queryset(self, _request: Any, rows: QuerySet[LinkedRow]) -> QuerySet[LinkedRow]:
        match self.value():
            case "none":
                return rows.filter(moodle_id=None, deleted_at=None)
            case "not_in_zoho":
                # As numbers: MariaDB does not compare texts of two collations.
                return rows.filter(moodle_id__isnull=False, deleted_at=None).exclude(
                    moodle_id=Cast("crm_moodle_id", BigIntegerField())
                )
            case "known":
                return rows.filter(moodle_id__isnull=False)
        return rows


class LinkedAdmin(MirrorAdmin):
    """The list of a table whose rows have an account or a course in Moodle."""

    list_filter: ClassVar[Any] = (MoodleIdFilter, "has_conflict", "deleted_at")
    actions = ("send_chosen",)

    @admin.action(permissions=["send"], description=_("Send to Moodle and Zoho now"))
    def send_chosen(self, request: HttpRequest, rows: QuerySet[LinkedRow]) -> None:
        module = MODULE_OF[self.model]
        count = by_hand.send_now(module, rows[:MOST_AT_ONCE])
        if count:
            message = _("Sent to Moodle and Zoho by hand: %(count)d records.")
            staff_log.note(
                request, self.model, message % {"count": count}, shown=module
            )
        tell_sent(request, count)

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("registrar.replay_effect")


@admin.register(Student)
class StudentAdmin(LinkedAdmin):
    shown = ("first_name", "last_name", "academic_email", "status", "moodle_id")
    list_filter = (MoodleIdFilter, "status", "has_conflict", "deleted_at")
    search_fields = ("=zoho_id", "=moodle_id", "=academic_email")
    search_help_text = _("Search by Zoho id, Moodle id or e-mail")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any
    ) -> Any:
        row = options.get("obj")
        if row is not None and request.user.has_perms(student_view.NEEDED):
            context["own_view_url"] = student_view.address(row.zoho_id)
        return super().render_change_form(request, context, *args, **options)


@admin.register(Teacher)
class TeacherAdmin(LinkedAdmin):
    shown = ("name", "academic_email", "moodle_id")
    search_fields = ("=zoho_id", "=moodle_id", "=academic_email")
    search_help_text = _("Search by Zoho id, Moodle id or e-mail")


@admin.register(Program)
class ProgramAdmin(MirrorAdmin):
    shown = ("name", "code", "level", "price", "currency")


@admin.register(Unit)
class UnitAdmin(MirrorAdmin):
    shown = ("name", "code")


@admin.register(Registration)
class RegistrationAdmin(MirrorAdmin):
    shown = ("number", "student", "program_name", "registration_status", "status")
    list_filter = ("registration_status", "has_conflict", "deleted_at")
    search_fields = ("=zoho_id", "student_id__exact", "=number")


@admin.register(Payment)
class PaymentAdmin(MirrorAdmin):
    shown = ("registration", "amount", "paid_on", "method", "status")
    search_fields = ("=zoho_id", "registration_id__exact", "student_id__exact")


@admin.register(SchoolClass)
class SchoolClassAdmin(LinkedAdmin):
    shown = ("name", "teacher_name", "status", "start_date", "moodle_id")
    list_filter = (MoodleIdFilter, "status", "has_conflict", "deleted_at")
    search_fields = ("=zoho_id", "=moodle_id", "=short_name")
    search_help_text = _("Search by Zoho id, Moodle id or short name")


@admin.register(Enrolment)
class EnrolmentAdmin(MirrorAdmin):
    shown = ("student", "school_class", "status", "enrolled_on")
    list_filter = ("status", "has_conflict", "deleted_at")
    search_fields = ("=zoho_id", "student_id__exact", "school_class_id__exact")


@admin.register(Grade)
class GradeAdmin(MirrorAdmin):
    shown = ("student", "school_class", "unit", "grade")
    search_fields = ("=zoho_id", "student_id__exact", "=composite_key")


@admin.register(StudentRequest)
class StudentRequestAdmin(MirrorAdmin):
    shown = ("subject", "student", "request_type", "status", "requested_on")
    list_filter = ("request_type", "status", "has_conflict", "deleted_at")
    search_fields = ("=zoho_id", "student_id__exact", "=subject")
