"""System checks: ``manage.py check`` refuses unsafe configurations.

The production checks run only with ``MEMORA_ENVIRONMENT=production``. The embedded
default needs no configuration.
"""

import os
import re
from collections.abc import Callable, Collection, Iterator
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import (
    CheckMessage,
    Error,
    Tags,
    Warning as CheckWarning,
    register,
)
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from core import semver
from core.checks import time_zone_errors
from players.services.erasure import LEDGERS
from progress import days_off, scheduler
from progress.services import review_parameters, season_opening

ENVIRONMENTS = ("local", "production")
CONTENT_SOURCES = ("disk", "bucket")
MOST_FREEZES = 365
SECRET_KEY_LENGTH = 50
SECRET_KEY_VARIETY = 5
_HTTPS = re.compile(r"\Ahttps://[^/\s]++(/\S*+)?")
NOT_SENDING = ("console", "dummy", "locmem", "filebased")


@register(Tags.security)
def check_environment(**_kwargs: Any) -> list[CheckMessage]:
    """Check settings that must be valid in every environment."""
    return [
        *_environment_name(),
        *_streak_time_zone(),
        *_streak_rules(),
        *_season_carries(),
        *_session_limits(),
        *_device_replacements(),
        *_erased_ledger(),
        *_reviews(),
        *_app_version(),
        *_content_source(),
    ]


@register(Tags.security)
def check_production(**_kwargs: Any) -> list[CheckMessage]:
    """Run the production checks; none in other environments."""
    if not settings.PRODUCTION:
        return []
    return [message for check in PRODUCTION_CHECKS for message in check()]


@register(Tags.database)
def check_database_time_zones(
    *, databases: Collection[str] | None = None, **_kwargs: Any
) -> list[CheckMessage]:
    """Warn if MariaDB cannot convert to the local time zone; only filters need it.

    Runs with ``check --database default`` and in every ``migrate``.

    Raises:
        OperationalError: the database is away.
    """
    found: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        if connection.vendor != "mysql" or settings.TIME_ZONE == "UTC":
            continue
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT CONVERT_TZ('2026-01-01 00:00:00', 'UTC', %s)",
                [settings.TIME_ZONE],
            )
            [converted] = cursor.fetchone()
        if converted is None:
            found.append(
                CheckWarning(
                    f"The database does not know the time zone {settings.TIME_ZONE}: "
                    "filters by day or month return no results.",
                    hint="Load the zones as root of the database: "
                    "mariadb-tzinfo-to-sql /usr/share/zoneinfo | mariadb mysql",
                    id="memora.W004",
                )
            )
    return found


def _environment_name() -> Iterator[CheckMessage]:
    if settings.ENVIRONMENT not in ENVIRONMENTS:
        yield Error(
            f"MEMORA_ENVIRONMENT is {settings.ENVIRONMENT!r}.",
            hint="Set it to “local” or “production”; other values are not allowed.",
            id="memora.E001",
        )


def _session_limits() -> Iterator[CheckMessage]:
    if not 1 <= settings.SESSION_IDLE_DAYS <= settings.SESSION_MAX_DAYS:
        yield Error(
            f"MEMORA_SESSION_IDLE_DAYS is {settings.SESSION_IDLE_DAYS}, "
            f"MEMORA_SESSION_MAX_DAYS is {settings.SESSION_MAX_DAYS}.",
            hint="Both are in days. The first must be at least 1, and the second at least "
            "the first.",
            id="memora.E020",
        )


def _device_replacements() -> Iterator[CheckMessage]:
    if min(settings.DEVICE_REPLACEMENTS, settings.DEVICE_REPLACEMENT_COOLING_HOURS) < 0:
        yield Error(
            f"MEMORA_DEVICE_REPLACEMENTS is {settings.DEVICE_REPLACEMENTS}, "
            "MEMORA_DEVICE_REPLACEMENT_COOLING_HOURS is "
            f"{settings.DEVICE_REPLACEMENT_COOLING_HOURS}.",
            hint="Neither may be negative. With 0 replacements only staff change "
            "students' devices.",
            id="memora.E043",
        )


def _streak_time_zone() -> Iterator[CheckMessage]:
    zone = settings.STREAK_TIME_ZONE
    return time_zone_errors("MEMORA_STREAK_TIME_ZONE", zone, id="memora.E002")


def _season_carries() -> Iterator[CheckMessage]:
    unknown = set(settings.SEASON_CARRIES) - set(season_opening.CARRIES)
    if unknown:
        yield Error(
            f"MEMORA_SEASON_CARRIES has {', '.join(sorted(unknown))}.",
            hint=f"Students can keep {', '.join(season_opening.CARRIES)}. Leave it empty "
            "if they keep nothing.",
            id="memora.E064",
        )


def _streak_rules() -> Iterator[CheckMessage]:
    for name in ("STREAK_FREEZE_EVERY_DAYS", "STREAK_MOST_FREEZES"):
        if not 0 <= (number := getattr(settings, name)) <= MOST_FREEZES:
            yield Error(
                f"MEMORA_{name} is {number}.",
                hint=f"Set it to a number from 0 to {MOST_FREEZES}. 0 switches streak "
                "freezes off.",
                id="memora.E044",
            )
    try:
        days_off.parse(settings.STREAK_DAYS_OFF)
    except ValueError as error:
        yield Error(
            f"MEMORA_STREAK_DAYS_OFF: {error}.",
            hint="Separate weekdays, dates, and first and last days by commas, such as "
            "fri,sat,2026-12-25,2027-07-01/2027-08-31.",
            id="memora.E045",
        )


def _erased_ledger() -> Iterator[CheckMessage]:
    if settings.ERASED_LEDGER not in LEDGERS:
        yield Error(
            f"MEMORA_ERASED_LEDGER is {settings.ERASED_LEDGER!r}.",
            hint="Set it to “delete” or “pseudonymise”; other values are not allowed.",
            id="memora.E040",
        )


def _reviews() -> Iterator[CheckMessage]:
    fault = scheduler.fault_of(review_parameters.of(settings))
    if fault is not None:
        yield Error(
            f"The parameters of reviews cannot be used. {fault}",
            hint="Correct MEMORA_REVIEW_RETENTION, MEMORA_REVIEW_MAXIMUM_DAYS, "
            "MEMORA_REVIEW_LEARNING_MINUTES, MEMORA_REVIEW_RELEARNING_MINUTES or "
            "MEMORA_REVIEW_WEIGHTS (21 numbers, separated by commas).",
            id="memora.E062",
        )
    if settings.REVIEW_LEECH_FAILURES < 1:
        yield Error(
            f"MEMORA_REVIEW_LEECH_FAILURES is {settings.REVIEW_LEECH_FAILURES}.",
            hint="Set it to how often an item must fail to be a leech: at least 1.",
            id="memora.E063",
        )
    if settings.REVIEW_SESSION_GAP_MINUTES < 1:
        yield Error(
            "MEMORA_REVIEW_SESSION_GAP_MINUTES is "
            f"{settings.REVIEW_SESSION_GAP_MINUTES}.",
            hint="Set it to the minutes without an answer after which a session of "
            "reviews ends: at least 1.",
            id="memora.E060",
        )
    if settings.XP_REVIEW_SESSIONS_PER_DAY < 0:
        yield Error(
            "MEMORA_XP_REVIEW_SESSIONS_PER_DAY is "
            f"{settings.XP_REVIEW_SESSIONS_PER_DAY}.",
            hint="Set it to how many sessions of reviews earn XP on one day; 0 for none.",
            id="memora.E061",
        )


def _app_version() -> Iterator[CheckMessage]:
    minimum = settings.MIN_APP_VERSION
    if minimum and semver.precedence(minimum) is None:
        yield Error(
            f"MEMORA_MIN_APP_VERSION is {minimum!r}.",
            hint="Set it to a version such as 1.2.3, without a platform, or leave it "
            "empty.",
            id="memora.E041",
        )
    for platform, url in settings.APP_STORE_URLS.items():
        name = "_".join(filter(None, ("MEMORA_APP_STORE_URL", platform.upper())))
        if url and not _HTTPS.fullmatch(url):
            yield Error(
                f"{name} is {url!r}.",
                hint="Set it to the https:// address of the app's page in the store.",
                id="memora.E042",
            )


def _secret_key() -> Iterator[CheckMessage]:
    try:
        key: str = settings.SECRET_KEY
    except ImproperlyConfigured:
        key = ""
    if not key:
        yield Error(
            "SECRET_KEY is not set.",
            hint="Create a random key for production only: python -c "
            "'import secrets; print(secrets.token_urlsafe(50))'",
            id="memora.E003",
        )
    elif (
        len(key) < SECRET_KEY_LENGTH
        or len(set(key)) < SECRET_KEY_VARIETY
        or key.startswith("django-insecure-")
    ):
        yield Error(
            f"SECRET_KEY is easy to guess: shorter than {SECRET_KEY_LENGTH} "
            "characters, with few different characters, or taken from an example.",
            hint="It protects all signatures and sessions: python -c "
            "'import secrets; print(secrets.token_urlsafe(50))'",
            id="memora.E004",
        )


def _debug() -> Iterator[CheckMessage]:
    if settings.DEBUG:
        yield Error(
            "DEBUG is on in production.",
            hint="Unset DEBUG: its error pages show settings and code to everyone.",
            id="memora.E005",
        )


def _allowed_hosts() -> Iterator[CheckMessage]:
    if not settings.ALLOWED_HOSTS:
        yield Error(
            "ALLOWED_HOSTS is empty: all requests would be refused.",
            hint="List the hosts, separated by commas: ALLOWED_HOSTS=api.example.org",
            id="memora.E006",
        )
    elif "*" in settings.ALLOWED_HOSTS:
        yield Error(
            "ALLOWED_HOSTS allows any host.",
            hint="List the hosts; otherwise a forged Host header can get into links.",
            id="memora.E007",
        )


def _database() -> Iterator[CheckMessage]:
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        yield Error(
            "The database is SQLite, the embedded default.",
            hint="Set DATABASE_URL, for example mysql://user:password@host:3306/memora",
            id="memora.E008",
        )


def _database_user() -> Iterator[CheckMessage]:
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        return
    if database.get("USER") == "root":
        yield Error(
            "Memora connects to the database as root.",
            hint="Use a user with access to one database: CREATE USER memora@localhost "
            "IDENTIFIED BY '…'; GRANT ALL ON memora.* TO memora@localhost; then set "
            "DATABASE_URL=mysql://memora:…@host:3306/memora",
            id="memora.E014",
        )


def _redis() -> Iterator[CheckMessage]:
    if settings.EMBEDDED_REDIS:
        yield Error(
            "REDIS_URL is not set: the bundled Redis serves only one machine.",
            hint="Set REDIS_URL, for example redis://:password@host:6379/0",
            id="memora.E009",
        )
        return
    for variable, url in (
        ("REDIS_URL", settings.REDIS_URL),
        ("CELERY_BROKER_URL", settings.CELERY_BROKER_URL),
    ):
        if not _needs_password(url):
            continue
        yield Error(
            f"{variable} has no password: anyone who can connect to this Redis can "
            "run tasks and change students' progress.",
            hint="Set requirepass in redis.conf, and the URL to "
            "redis://:password@host:6379/0. A Unix socket needs no password.",
            id="memora.E015",
        )
        return  # by default the broker is the same Redis


def _needs_password(url: str) -> bool:
    """Return whether it is a Redis over TCP whose URL has no password."""
    parts = urlsplit(url)
    return parts.scheme in ("redis", "rediss") and not parts.password


def _proxies() -> Iterator[CheckMessage]:
    if settings.TRUSTED_PROXIES < 1:
        yield Error(
            "MEMORA_TRUSTED_PROXIES is 0, but production runs behind nginx: all clients "
            "would share one address and its limits.",
            hint="Set it to the number of your proxies that write X-Forwarded-For: 1 "
            "for nginx alone.",
            id="memora.E016",
        )


def _secrets_keys() -> Iterator[CheckMessage]:
    if not settings.SECRETS_KEYS:
        yield CheckWarning(
            "MEMORA_SECRETS_KEYS is not set: CDN keys cannot be stored.",
            hint="Create one: python -c 'from cryptography.fernet import Fernet; "
            "print(Fernet.generate_key().decode())'",
            id="memora.W003",
        )


def _nested_folders() -> Iterator[CheckMessage]:
    """Check that no public folder holds a private one, and that no folder holds another
    whose files it would serve, collect or delete as its own."""
    content = ("MEMORA_CONTENT_ROOT", settings.CONTENT_ROOT)
    static = ("MEMORA_STATIC_ROOT", settings.STATIC_ROOT)
    video = ("MEMORA_VIDEO_ROOT", settings.VIDEO_ROOT)
    media = ("the folder of uploads, MEMORA_STATE_DIR/media", settings.MEDIA_ROOT)
    state = ("MEMORA_STATE_DIR", settings.STATE_DIR)
    for (inner_name, inner), (outer_name, outer) in (
        (video, content),
        (state, content),
        (static, content),
        (video, static),
        (state, static),
        (content, static),
        (content, video),
        (state, video),
        (static, video),
        (content, media),
        (video, media),
        (static, media),
    ):
        inner, outer = Path(inner).resolve(), Path(outer).resolve()
        if inner.is_relative_to(outer):
            yield Error(
                f"{inner_name} ({inner}) is inside {outer_name} ({outer}).",
                hint="Use a separate folder for each, such as /srv/memora/content, "
                "/srv/memora/static, /srv/memora/state and /srv/memora/state/videos.",
                id="memora.E017",
            )
            return


def _site_url() -> Iterator[CheckMessage]:
    parts = urlsplit(settings.SITE_URL)
    if parts.scheme != "https" or not parts.hostname:
        yield Error(
            f"MEMORA_SITE_URL is {settings.SITE_URL!r}, not an https:// address.",
            hint="Published files link to it: MEMORA_SITE_URL=https://api.example.org",
            id="memora.E010",
        )


def _email() -> Iterator[CheckMessage]:
    backend = settings.EMAIL_BACKEND.rsplit(".", 2)
    if len(backend) > 1 and backend[-2] in NOT_SENDING:
        yield Error(
            f"E-mail is not sent: the backend is {settings.EMAIL_BACKEND}.",
            hint="Alerts are sent by e-mail: set EMAIL_URL, for example "
            "smtp+tls://user:password@host:587",
            id="memora.E011",
        )
    _name, address = parseaddr(settings.DEFAULT_FROM_EMAIL)
    if address.rpartition("@")[2] in ("", "localhost"):
        yield CheckWarning(
            f"E-mail is sent from {settings.DEFAULT_FROM_EMAIL!r}, "
            "which other servers reject.",
            hint="Set DEFAULT_FROM_EMAIL=memora@example.org",
            id="memora.W001",
        )


def _content_source() -> Iterator[CheckMessage]:
    if settings.CONTENT_SOURCE not in CONTENT_SOURCES:
        yield Error(
            f"MEMORA_CONTENT_SOURCE is {settings.CONTENT_SOURCE!r}.",
            hint="Set it to “disk”, or to “bucket” on a web host of the students' API "
            "without the content root.",
            id="memora.E050",
        )


def _content_root() -> Iterator[CheckMessage]:
    root = Path(settings.CONTENT_ROOT)
    if settings.CONTENT_SOURCE == "bucket":
        return
    if not root.is_dir():
        yield Error(
            f"The content root {root} does not exist.",
            hint="Create the folder, or set MEMORA_CONTENT_ROOT.",
            id="memora.E012",
        )
    elif not os.access(root, os.W_OK | os.X_OK):
        yield Error(
            f"This user cannot write to the content root {root}.",
            hint="Change the owner of the folder to the user of the workers.",
            id="memora.E013",
        )


def _static_files() -> Iterator[CheckMessage]:
    if not (Path(settings.STATIC_ROOT) / "staticfiles.json").is_file():
        yield CheckWarning(
            f"{settings.STATIC_ROOT} has no collected static files: admin pages would "
            "fail.",
            hint="Run manage.py collectstatic --noinput after every update.",
            id="memora.W002",
        )


PRODUCTION_CHECKS: tuple[Callable[[], Iterator[CheckMessage]], ...] = (
    _secret_key,
    _debug,
    _allowed_hosts,
    _database,
    _database_user,
    _redis,
    _proxies,
    _secrets_keys,
    _nested_folders,
    _site_url,
    _email,
    _content_root,
    _static_files,
)
