"""Requests and their refusals in words, for pages of staff."""

from django.apps import apps
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from players import errors

_REFUSALS: dict[str, Promise] = {
    errors.InvalidCredentialsError.code: gettext_lazy("wrong e-mail or password"),
    errors.DeviceNotAuthorizedError.code: gettext_lazy("unknown device"),
    errors.DeviceMismatchError.code: gettext_lazy("session of another device"),
    errors.DeviceLimitError.code: gettext_lazy("both device slots are in use"),
    errors.AccountInactiveError.code: gettext_lazy("the account is switched off"),
    errors.NotAPlayerError.code: gettext_lazy("no student's account"),
    errors.WrongPasswordError.code: gettext_lazy("wrong current password"),
    errors.InvalidResetCodeError.code: gettext_lazy("wrong or expired code"),
    errors.NotEnrolledError.code: gettext_lazy("not enrolled in the plan"),
    errors.NotEntitledError.code: gettext_lazy("a lesson that needs a product"),
    errors.StoreAwayError.code: gettext_lazy("Redis did not answer"),
    "NOT_UNLOCKED": gettext_lazy("earlier lessons are not passed"),
    "NOT_STAFF": gettext_lazy("no account of the admin"),
    "PERMISSION_DENIED": gettext_lazy("no permission"),
}
"""What error codes of refused requests mean."""

_SIGN_IN = gettext_lazy("sign-in")
_PREVIEW = gettext_lazy("preview")
_DEVICES = gettext_lazy("devices")
_REVIEWS = gettext_lazy("reviews")
_UPLOAD = gettext_lazy("upload")
_SHEETS = gettext_lazy("import and export")
_STAFF_API = gettext_lazy("staff API")

_REQUESTS: dict[str, Promise] = {
    # What is counted under a name of its own.
    "bad_token": gettext_lazy("invalid sign-in token"),
    "ended_token": gettext_lazy("sign-in token of an ended session"),
    # The students' API.
    "auth-login": _SIGN_IN,
    "auth-logout": gettext_lazy("sign-out"),
    "auth-session": gettext_lazy("session"),
    "auth-password-reset": gettext_lazy("password reset by e-mail"),
    "auth-password-reset-confirm": gettext_lazy("password reset by code"),
    "start-list": gettext_lazy("start of the app"),
    "me-list": gettext_lazy("profile"),
    "me-photo": gettext_lazy("photo"),
    "me-password": gettext_lazy("change of the password"),
    "me-plan": gettext_lazy("choice of the active plan"),
    "me-plans": gettext_lazy("plans"),
    "me-entitlements": gettext_lazy("products"),
    "me-student-link": gettext_lazy("link to the pages at school"),
    "wallet-list": gettext_lazy("wallet"),
    "lesson-complete": gettext_lazy("completion of a lesson"),
    "progress-detail": gettext_lazy("progress"),
    "progress-list": gettext_lazy("progress in all subjects"),
    "sync-list": gettext_lazy("state of the student for an app"),
    "sync-events": gettext_lazy("queue of an app that was offline"),
    # Pages.
    "index": gettext_lazy("home page of the admin"),
    "login": gettext_lazy("sign-in to the admin"),
    "logout": gettext_lazy("sign-out of the admin"),
    "autocomplete": gettext_lazy("search in a form"),
    "new-password": gettext_lazy("page to set a new password"),
    "may-send": _UPLOAD,
    "watch_video": gettext_lazy("video"),
    "recent_media": gettext_lazy("pictures and videos"),
    "players_dashboard": gettext_lazy("player dashboard"),
    "publishing_dashboard": gettext_lazy("publishing dashboard"),
}
"""Requests by the URL's name, or by the name of another limit."""

_GROUPS: tuple[tuple[str, Promise], ...] = (
    ("me-devices", _DEVICES),
    ("devices-", _DEVICES),
    ("content-", gettext_lazy("content")),
    ("review-", _REVIEWS),
    ("staff-", _STAFF_API),
    ("registrar-", gettext_lazy("message of the CRM")),
    ("student-", gettext_lazy("student’s pages")),
    ("preview_", _PREVIEW),
    ("app_", _PREVIEW),
    ("upload_", _UPLOAD),
    ("password_change", gettext_lazy("change of the password")),
    ("players_support_", gettext_lazy("support's page of a student")),
    ("import_students", gettext_lazy("import of students")),
    ("import_", _SHEETS),
    ("export_", _SHEETS),
    ("exchange", _SHEETS),
)
"""Requests by the beginning of the URL's name."""


def refusal(code: str) -> str:
    """Return what an error code means; an unknown code is returned unchanged."""
    return str(_REFUSALS.get(code, code))


def request(name: str) -> str:
    """Return what a request was for, by its URL's name.

    A page of the admin that shows rows of a model is named by the model. A name that is
    not known is returned unchanged.
    """
    if (known := _REQUESTS.get(name)) is not None:
        return str(known)
    for beginning, words in _GROUPS:
        if name.startswith(beginning):
            return str(words)
    return _page_of(name) or name


def _page_of(name: str) -> str:
    """Return the model, or the app, whose pages have names such as this one, or ""."""
    app, _separator, rest = name.partition("_")
    try:
        config = apps.get_app_config(app)
    except LookupError:
        return ""
    model = config.models.get(rest.partition("_")[0])
    if model is None:
        return str(config.verbose_name)
    return str(model._meta.verbose_name_plural)
