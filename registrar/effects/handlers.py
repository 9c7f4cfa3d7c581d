"""The handler of each kind of effect, with the configured peers."""

from collections.abc import Callable, Collection
from functools import lru_cache, partial

from django.conf import settings

from registrar import configuration, sources
from registrar.effects import (
    courses,
    enrolments,
    grades,
    plugin,
    pushing,
    requests,
    staff,
    templates,
    users,
)
from registrar.effects.site import Site
from registrar.models import Effect, Kind
from registrar.moodle.client import MoodleClient, MoodleSite
from registrar.outbox.adding import EVERY_SITE
from registrar.outbox.running import Handler
from registrar.zoho.client import ZohoClient

_HANDLERS: dict[Kind, Callable[[Effect, Site], str]] = {
    Kind.USER: users.push_user,
    Kind.COURSE: courses.push_course,
    Kind.STAFF: staff.push_staff,
    Kind.ENROLMENT: enrolments.push_enrolment,
    Kind.TEMPLATE: templates.push_template,
    Kind.RECORD: plugin.push_record,
    Kind.WRITE_BACK: pushing.write_back,
}


def of_site(used: Site) -> dict[str, Handler]:
    """Return the handlers that use a site."""
    found: dict[str, Handler] = {
        str(kind): partial(_call, function, used)
        for kind, function in _HANDLERS.items()
    }
    return found | (of_zoho(used.zoho) if used.zoho else {})


def of_zoho(zoho: ZohoClient) -> dict[str, Handler]:
    """Return the handlers that need Zoho alone."""
    return {
        str(Kind.REQUEST): partial(requests.push_request, zoho=zoho),
        str(Kind.GRADE): partial(grades.push_grade, zoho=zoho),
        str(Kind.CRITERIA): partial(grades.push_criteria, zoho=zoho),
    }


def current() -> dict[str, Handler] | None:
    """Return the handlers of the configured peers; None without Moodle and Zoho.

    Effects without a handler wait until their peer is configured.
    """
    if found := site():
        return of_site(found)
    zoho = sources.zoho_client()
    return of_zoho(zoho) if zoho else None


def modules() -> Collection[str]:
    """Return the modules that the configured site gets; none without Moodle.

    While Moodle does not answer, those of the plugin are left out; a later run adds them.
    """
    found = site()
    return (*EVERY_SITE, *plugin.modules(found)) if found else ()


def site() -> Site | None:
    """Return the configured site; None without Moodle."""
    address = configuration.connections().moodle
    if address is None:
        return None
    manager, teacher, student = settings.MOODLE_ROLES
    return Site(
        moodle=_client(address),
        zoho=sources.zoho_client(),
        category_id=settings.MOODLE_CATEGORY,
        template_id=settings.MOODLE_TEMPLATE_COURSE,
        manager_ids=tuple(settings.MOODLE_MANAGERS),
        manager_role=manager,
        teacher_role=teacher,
        student_role=student,
        hides_cancelled=settings.MOODLE_HIDES_CANCELLED,
        has_cohorts=settings.MOODLE_COHORTS,
        unenrols=settings.MOODLE_UNENROLS,
    )


def _call(function: Callable[[Effect, Site], str], used: Site, effect: Effect) -> str:
    return function(effect, used)


@lru_cache(maxsize=2)
def _client(address: MoodleSite) -> MoodleClient:
    return MoodleClient(address)
