"""Read-only admin of the mirror and both queues: records are changed in Zoho."""

from typing import Any, ClassVar

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from core.admin_mixins import ReadOnlyAdmin
from registrar.mirror.decisions import decision_of
from registrar.models import (
    Conflict,
    Delivery,
    Effect,
    Enrolment,
    Grade,
    Hint,
    Payment,
    PeerState,
    Program,
    Registration,
    SchoolClass,
    Student,
    StudentRequest,
    Teacher,
    Unit,
)


class MirrorAdmin(ReadOnlyAdmin):
    """The list and the page of a table of the mirror; lookups are shown as ids."""

    shown: ClassVar[tuple[str, ...]] = ()
    list_filter = ("has_conflict", "deleted_at")
    search_fields: ClassVar[Any] = ("=zoho_id",)
    search_help_text = _("Search by Zoho id")
    ordering = ("-pk",)

    def get_list_display(self, *_args: Any) -> list[Any]:
        return [
            "zoho_id",
            *(self._column(name) for name in self.shown),
            *("modified_time", "deleted_at", "has_conflict"),
        ]

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
            return getattr(row, field.attname)

        return id_of


@admin.register(Student)
class StudentAdmin(MirrorAdmin):
    shown = ("first_name", "last_name", "academic_email", "status", "moodle_id")
    search_fields = ("=zoho_id", "=moodle_id", "=academic_email")
    search_help_text = _("Search by Zoho id, Moodle id or e-mail")


@admin.register(Teacher)
class TeacherAdmin(MirrorAdmin):
    shown = ("name", "academic_email", "moodle_id")


@admin.register(Program)
class ProgramAdmin(MirrorAdmin):
    shown = ("name", "code", "level", "price", "currency")


@admin.register(Unit)
class UnitAdmin(MirrorAdmin):
    shown = ("name", "code")


@admin.register(Registration)
class RegistrationAdmin(MirrorAdmin):
    shown = ("number", "student", "program_name", "registration_status", "status")
    search_fields = ("=zoho_id", "student_id__exact", "=number")


@admin.register(Payment)
class PaymentAdmin(MirrorAdmin):
    shown = ("registration", "amount", "paid_on", "method", "status")
    search_fields = ("=zoho_id", "registration_id__exact", "student_id__exact")


@admin.register(SchoolClass)
class SchoolClassAdmin(MirrorAdmin):
    shown = ("name", "teacher_name", "status", "start_date", "moodle_id")


@admin.register(Enrolment)
class EnrolmentAdmin(MirrorAdmin):
    shown = ("student", "school_class", "status", "enrolled_on")
    search_fields = ("=zoho_id", "student_id__exact", "school_class_id__exact")


@admin.register(Grade)
class GradeAdmin(MirrorAdmin):
    shown = ("student", "school_class", "unit", "grade")
    search_fields = ("=zoho_id", "student_id__exact", "=composite_key")


@admin.register(StudentRequest)
class StudentRequestAdmin(MirrorAdmin):
    shown = ("subject", "student", "request_type", "status", "requested_on")
    search_fields = ("=zoho_id", "student_id__exact", "=subject")


@admin.register(Conflict)
class ConflictAdmin(ReadOnlyAdmin):
    list_display = ("module", "record_id", "api_name", "value", "reason", "since")
    list_filter = ("module", "api_name")
    search_fields = ("=record_id",)
    search_help_text = _("Search by Zoho id")


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ("received_at", "endpoint", "verifier", "times")
    list_filter = ("endpoint", "verifier", "received_at")
    fields = ("received_at", "endpoint", "verifier", "times", "content")

    @admin.display(description=_("body"))
    def content(self, delivery: Delivery) -> str:
        return bytes(delivery.body).decode(errors="replace")


@admin.register(Hint)
class HintAdmin(ReadOnlyAdmin):
    list_display = (
        *("created_at", "module", "record_id", "operation", "state"),
        *("attempts", "decided", "last_error"),
    )
    list_filter = ("state", "module", "operation", "created_at")
    search_fields = ("=record_id",)
    search_help_text = _("Search by Zoho id")
    ordering = ("-pk",)
    fields = (
        *("delivery", "module", "record_id", "operation", "state", "created_at"),
        *("due_at", "attempts", "decided", "last_error", "finished_at"),
    )

    @admin.display(description=_("decision"))
    def decided(self, hint: Hint) -> str:
        document = hint.decision or {}
        if "outcome" in document:
            return decision_of(document).reason
        if "records" in document:
            return _("Records read: %(count)d.") % {"count": document["records"]}
        return ""


@admin.register(Effect)
class EffectAdmin(ReadOnlyAdmin):
    list_display = (
        *("created_at", "kind", "module", "record_id", "state"),
        *("attempts", "result", "last_error"),
    )
    list_filter = ("state", "kind", "module", "created_at")
    search_fields = ("=record_id",)
    search_help_text = _("Search by Zoho id")
    ordering = ("-pk",)
    fields = (
        *("kind", "peer", "module", "record_id", "state", "created_at", "due_at"),
        *("attempts", "result", "last_error", "finished_at"),
    )


@admin.register(PeerState)
class PeerStateAdmin(ReadOnlyAdmin):
    list_display = ("peer", "failures", "open_until", "last_error", "failed_at")
