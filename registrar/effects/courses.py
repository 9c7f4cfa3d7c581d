"""Courses in Moodle of classes (D4)."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from registrar import queues
from registrar.effects import cohorts, plugin, pushing
from registrar.effects.site import Site
from registrar.effects.users import remember_id
from registrar.mapping.modules import CANCELLED
from registrar.models import Effect, Kind, SchoolClass
from registrar.models.work import WorkState
from registrar.moodle import courses
from registrar.moodle.courses import Course, CourseValues
from registrar.outbox.adding import add
from registrar.outbox.running import ImpossibleError


def push_course(effect: Effect, site: Site) -> str:
    """Create or update the course of a class; hide it if the class was cancelled.

    Raises:
        ImpossibleError: Moodle would need other values.
    """
    row: SchoolClass | None = pushing.row_of(effect)
    if row is None:
        return _("There is no such record any more.")
    is_over = row.deleted_at is not None or row.status == CANCELLED
    course = _find(row, site)
    if course is None and is_over:
        pushing.mark_pushed(effect)
        return _("The class was cancelled before it had a course.")
    if course is None:
        course_id = _create(row, site)
        done = _("The course was created.")
    else:
        course_id = course.id
        done = _update(row, course, is_over=is_over, site=site)
    if row.moodle_id != course_id:
        pushing.push_places_again(school_class=row.zoho_id)
    remember_id(row, course_id)
    if site.has_cohorts and not is_over:
        cohorts.ensure(row, site)
    plugin.send_if_offered(effect, row, site)
    pushing.mark_pushed(effect)
    pushing.add_write_back(effect, row, course_id)
    if not is_over and (row.teacher_id or row.taught_by or site.manager_ids):
        _add_staff(effect)
    return done


def _add_staff(effect: Effect) -> None:
    """Add the effect on the staff of a class; for a course that was lost, once more."""
    now = timezone.now()
    values = {"module": effect.module, "record_id": effect.record_id}
    if not add(kind=Kind.STAFF, version=effect.version, now=now, **values):
        done = Effect.objects.filter(
            kind=Kind.STAFF, version=effect.version, state=WorkState.DONE, **values
        )
        queues.replay(done, now=now)


def _find(row: SchoolClass, site: Site) -> Course | None:
    """Return the course of a class: by our key, by the id in Zoho, by our short name.

    A copy of the template gets our key only after it was made, so an interrupted copy is
    found by its short name.
    """
    found = courses.find(site.moodle, field="idnumber", value=row.zoho_id)
    if found is not None:
        return found
    if row.crm_moodle_id.isascii() and row.crm_moodle_id.isdigit():
        found = courses.find(site.moodle, field="id", value=int(row.crm_moodle_id))
    if found is None and site.template_id:
        name = _own_short_name(row)
        found = courses.find(site.moodle, field="shortname", value=name)
    if found is None:
        return None
    if found.idnumber:
        raise ImpossibleError(
            _("The course %(id)d in Moodle belongs to another record of Zoho.")
            % {"id": found.id}
        )
    courses.update(site.moodle, course_id=found.id, idnumber=row.zoho_id)
    return found


def _create(row: SchoolClass, site: Site) -> int:
    if not row.name and not row.short_name:
        raise ImpossibleError(_("Moodle needs a name of the class. Enter it in Zoho."))
    values = CourseValues(
        fullname=row.name or row.short_name,
        shortname=_own_short_name(row),
        idnumber=row.zoho_id,
        category_id=site.category_id,
        start=_moment(row.start_date),
        end=_moment(row.end_date),
    )
    if site.template_id:
        return courses.duplicate(
            site.moodle, template_id=site.template_id, values=values
        )
    return courses.create(site.moodle, values=values)


def _update(row: SchoolClass, course: Course, *, is_over: bool, site: Site) -> str:
    wanted: dict[str, str | int | bool] = {
        "fullname": row.name or course.fullname,
        "startdate": _moment(row.start_date) or course.start,
        "enddate": _moment(row.end_date),
    }
    held = {
        "fullname": course.fullname,
        "startdate": course.start,
        "enddate": course.end,
    }
    changes = {name: value for name, value in wanted.items() if value != held[name]}
    # A course that staff have hidden stays hidden: only our own hiding is taken back.
    if is_over and site.hides_cancelled and course.visible:
        changes["visible"] = False
        _mark_hidden(row, hidden=True)
    elif not is_over and not course.visible and row.is_suspended:
        changes["visible"] = True
    if not changes:
        return _("The course is up to date.")
    courses.update(site.moodle, course_id=course.id, **changes)
    if changes.get("visible") is True:
        _mark_hidden(row, hidden=False)
    if changes.get("visible") is False:
        return _("The course was hidden.")
    return _("The course was updated.")


def _mark_hidden(row: SchoolClass, *, hidden: bool) -> None:
    SchoolClass.objects.filter(pk=row.pk).update(is_suspended=hidden)


def _own_short_name(row: SchoolClass) -> str:
    """Return a short name that no other class has: Moodle's must be unique."""
    return f"{row.short_name or row.name} ({row.zoho_id})"


def _moment(day: date | None) -> int:
    """Return the Unix seconds of a day's first moment at the school; 0 for none."""
    if day is None:
        return 0
    zone = ZoneInfo(settings.TIME_ZONE)
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
