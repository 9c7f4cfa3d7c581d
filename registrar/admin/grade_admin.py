"""The grade queue: what Moodle has graded, and what of it Zoho has (E3)."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _, ngettext

from core.admin_mixins import ReadOnlyAdmin, readable_json
from core.badges import Tone, badge
from registrar.admin import links
from registrar.grades import overview
from registrar.models import GRADES, GradeState, MoodleGrade
from registrar.models.moodle_grades import MoodleGradeQuerySet
from registrar.outbox import adding

_LOOKS: dict[str, tuple[str, Tone]] = {
    GradeState.WAITING: ("⟳", "waiting"),
    GradeState.BASIC_SENT: ("▸", "action"),
    GradeState.ENRICHED: ("●", "done"),
    GradeState.FAILED: ("✕", "failed"),
    GradeState.NO_STUDENT: ("○", "quiet"),
    GradeState.NO_CLASS: ("○", "quiet"),
}
_REASONS = {
    GradeState.NO_STUDENT: _(
        "No student in Zoho has this account of Moodle. The grade is sent when one has."
    ),
    GradeState.NO_CLASS: _(
        "The class was deleted in Zoho. The grade is sent when it is there again."
    ),
}


def grade_badge(state: str) -> SafeString:
    """Return the state of a grade as a badge."""
    shape, tone = _LOOKS[state]
    return badge(shape, GradeState(state).label, tone)


class StateFilter(admin.SimpleListFilter):
    """Grades by their state on the way to Zoho."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, *_args: Any) -> list[tuple[str, Any]]:
        return list(GradeState.choices)

    def queryset(self, _request: Any, rows: QuerySet[Any]) -> QuerySet[Any]:
        state = self.value()
        return rows.filter(state=state) if state in GradeState.values else rows


@admin.register(MoodleGrade)
class MoodleGradeAdmin(ReadOnlyAdmin):
    list_display = (
        *("changed_at", "state_shown", "student", "grade", "reason"),
        *("class_shown", "assignment_name", "attempt_shown", "record"),
    )
    list_filter = (StateFilter, "changed_at", "sent_at")
    search_fields = ("=composite_key", "=user_id", "=zoho_id")
    search_help_text = _("Search by composite key, Moodle user or Zoho id")
    ordering = ("-changed_at", "-pk")
    actions = ("send_again",)
    fields = (
        *("record", "student", "class_shown", "assignment_name", "attempt_shown"),
        *("grade", "state_shown", "reason", "criteria_shown", "graded_at"),
        *("changed_at", "sent_at", "zoho_id"),
    )
    readonly_fields = (
        *("record", "student", "class_shown", "attempt_shown", "state_shown"),
        *("reason", "criteria_shown"),
    )

    def get_queryset(self, _request: HttpRequest) -> MoodleGradeQuerySet:
        return MoodleGrade.objects.with_state().with_names()

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the numbers above the list. Three queries more than a list."""
        found = overview.load(timezone.now())
        context = {
            "overview": found,
            "states": [
                (state, grade_badge(state), count)
                for state, count in found.counts.items()
            ],
            "poll": overview.last_poll(),
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    @admin.display(description=_("record"), ordering="composite_key")
    def record(self, row: MoodleGrade) -> SafeString:
        return links.record(GRADES, row.composite_key)

    @admin.display(description=_("student"))
    def student(self, row: Any) -> Any:
        if row.student_id is None:
            return row.user_id
        name = row.student_name or row.student_id
        return links.timeline("BTEC_Students", row.student_id, name)

    @admin.display(description=_("class"))
    def class_shown(self, row: Any) -> Any:
        return row.class_name or row.course_id

    @admin.display(description=_("attempt"), ordering="attempt")
    def attempt_shown(self, row: MoodleGrade) -> int:
        """The number of the attempt, from 1."""
        return row.attempt + 1

    @admin.display(description=_("state"))
    def state_shown(self, row: Any) -> SafeString:
        return grade_badge(row.state)

    @admin.display(description=_("reason"))
    def reason(self, row: Any) -> Any:
        """Why Zoho lacks something of the grade; "" without a reason."""
        if row.state in _REASONS:
            return _REASONS[row.state]
        return "" if row.state == GradeState.ENRICHED else row.error or ""

    @admin.display(description=_("criteria"))
    def criteria_shown(self, row: MoodleGrade) -> SafeString:
        return readable_json(row.criteria)

    @admin.action(permissions=["send"], description=_("Send to Zoho again"))
    def send_again(self, request: HttpRequest, rows: QuerySet[MoodleGrade]) -> None:
        count = adding.send_grades_again(rows)
        text = ngettext(
            "%(count)d grade will be sent again within 15 seconds.",
            "%(count)d grades will be sent again within 15 seconds.",
            count,
        )
        if count:
            messages.success(request, text % {"count": count})
        else:
            messages.info(
                request,
                _(
                    "No chosen grade has been tried yet; the list says what it waits for."
                ),
            )

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("registrar.replay_effect")
