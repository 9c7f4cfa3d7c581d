"""Memora's settings, in sections, read from the environment.

Without configuration the project runs on the embedded default: SQLite, a bundled Redis
on a Unix socket, and local files in ``var/`` and ``public/``. With
``MEMORA_ENVIRONMENT=production``, ``manage.py check`` refuses unsafe values
(``memora_site/checks.py``). ``docs/develop.md`` lists every variable.
"""

import hashlib
import os
import secrets
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from celery.schedules import crontab
from csp import constants as csp
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from memora_site import error_reports, logs

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
if (BASE_DIR / ".env").is_file():
    env.read_env(str(BASE_DIR / ".env"))

# --- Environment ------------------------------------------------------------

ENVIRONMENT: str = env("MEMORA_ENVIRONMENT", default="local")
PRODUCTION: bool = ENVIRONMENT == "production"
DEBUG: bool = env.bool("DEBUG", default=False)

STATE_DIR = Path(env("MEMORA_STATE_DIR", default=str(BASE_DIR / "var")))
"""Data of the embedded default: database, Redis data, uploads, secret key."""


def _local_secret_key() -> str:
    """Return this checkout's key; it is created once, readable by its owner only.

    Not used in production, where ``SECRET_KEY`` must be set.
    """
    path = STATE_DIR / "secret_key"
    STATE_DIR.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_urlsafe(50))
    return path.read_text()


SECRET_KEY: str = env("SECRET_KEY", default="") or (
    "" if PRODUCTION else _local_secret_key()
)
SITE_URL_FILE = STATE_DIR / "site_url"
"""The demo's address: other processes on this data must publish the same URLs."""


def _local_site_url() -> str:
    try:
        return SITE_URL_FILE.read_text().strip()
    except OSError:
        return "http://127.0.0.1:8000"


SITE_URL: str = (
    env("MEMORA_SITE_URL", default="")
    or ("http://127.0.0.1:8000" if PRODUCTION else _local_site_url())
).rstrip("/")
"""How clients reach this server; the base of the local content URLs."""
# 10.0.2.2 is the address of this machine in an Android emulator.
_LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]", "10.0.2.2"]
ALLOWED_HOSTS: list[str] = env.list(
    "ALLOWED_HOSTS",
    default=[] if PRODUCTION else [*_LOCAL_HOSTS, urlsplit(SITE_URL).hostname or ""],
)
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- Applications -----------------------------------------------------------

INSTALLED_APPS = [
    "memora_site",
    "content",
    "plans",
    "publishing",
    "players",
    "progress",
    "registrar",
    "memora_site.admin_site.MemoraAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "mptt",
    "adminsortable2",
    "django_prose_editor",
    "solo",
    "simple_history",
    "import_export",
    "storages",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "csp",
    "corsheaders",
    "django_structlog",
]
MIDDLEWARE = [
    "publishing.middleware.gate_middleware",
    # Answers the students' API alone; the others are for pages and staff.
    "memora_site.student_api.StudentApiMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "memora_site.request_log.RequestLogMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "players.middleware.AuditMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "axes.middleware.AxesMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "players.throttling.RateLimitHeadersMiddleware",
]
ROOT_URLCONF = "memora_site.urls"
WSGI_APPLICATION = "memora_site.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Database ---------------------------------------------------------------

DATABASES = {
    "default": env.db("DATABASE_URL", default=f"sqlite:///{STATE_DIR / 'db.sqlite3'}")
}
_database = DATABASES["default"]
# Django's own backends, with limits for requests of students (`core.db_limits`).
_database["ENGINE"] = _database["ENGINE"].replace(
    "django.db.backends", "core.db_backends"
)
if _database["ENGINE"].endswith("sqlite3"):
    # With IMMEDIATE, concurrent writers queue for the file instead of failing during a
    # transaction with "database is locked". With WAL, readers are not blocked.
    _database.setdefault("OPTIONS", {}).update(
        transaction_mode="IMMEDIATE",
        timeout=20,
        init_command="PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    )
    # Django's default; pytest-django knows it only for Django's own backend.
    _database["TEST"] = {"NAME": ":memory:"}
elif _database["ENGINE"].endswith("mysql"):
    # READ COMMITTED: reads after a lock must not use a snapshot from before the lock
    # (`content.services` relies on it).
    _database.setdefault("OPTIONS", {}).update(
        charset="utf8mb4",
        isolation_level="read committed",
        init_command="SET sql_mode='STRICT_TRANS_TABLES'",
        connect_timeout=10,
    )
    _database["TEST"] = {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_unicode_ci"}
    _database["CONN_HEALTH_CHECKS"] = True
# For SQLite, too: opening it costs several times as much as a small request.
_database["CONN_MAX_AGE"] = env.int("DATABASE_CONN_MAX_AGE", default=60)

# --- Redis ------------------------------------------------------------------

# A Unix socket in the temporary folder: its path is below the limit of 107 bytes
# wherever the checkout is, and it needs no port.
EMBEDDED_REDIS_DIR = Path(tempfile.gettempdir()) / (
    f"memora-{os.getuid()}-{hashlib.sha256(str(STATE_DIR).encode()).hexdigest()[:12]}"
)
EMBEDDED_REDIS_SOCKET = EMBEDDED_REDIS_DIR / "redis.sock"
_redis_url: str = env("REDIS_URL", default="")
EMBEDDED_REDIS: bool = not _redis_url
REDIS_URL: str = _redis_url or f"unix://{EMBEDDED_REDIS_SOCKET}?db=0"
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {
            "CLIENT_CLASS": "django_redis.client.DefaultClient",
            "SOCKET_CONNECT_TIMEOUT": 2,
            "SOCKET_TIMEOUT": 5,
            # Not pickle: with it, write access to Redis would allow code execution.
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
        },
        "KEY_PREFIX": "cache",
        "VERSION": 2,  # 1 was pickled
    }
}

# --- Celery -----------------------------------------------------------------


def broker_url(redis_url: str) -> str:
    """Return Celery's form of a Redis URL: Unix sockets are ``redis+socket://``."""
    if redis_url.startswith("unix://"):
        path, _sep, query = redis_url.removeprefix("unix://").partition("?")
        database = dict(p.split("=") for p in query.split("&") if p).get("db", "0")
        return f"redis+socket://{path}?virtual_host={database}"
    return redis_url


CELERY_BROKER_URL: str = env("CELERY_BROKER_URL", default=broker_url(REDIS_URL))
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Longer than any build: then Redis delivers an unacknowledged task again.
    "visibility_timeout": 6 * 3600,
    # A request that wakes a worker must not hang while the broker is away or does not
    # answer. The periodic task does the work later.
    "max_retries": 0,
    "socket_connect_timeout": 2,
    "socket_timeout": 4,
}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# In the state folder if it was moved: two states must not share a schedule file.
CELERY_BEAT_SCHEDULE_FILENAME = str(
    (STATE_DIR if "MEMORA_STATE_DIR" in os.environ else BASE_DIR)
    / "celerybeat-schedule"
)
SIGNATURE_RENEW_SECONDS = 300
"""How often published videos are searched for signatures to renew."""


def _each(seconds: int, task: str) -> dict[str, object]:
    """Return a beat entry; while no worker runs, only the latest task stays valid."""
    return {
        "task": task,
        "schedule": float(seconds),
        "options": {"expires": seconds},
    }


CELERY_BEAT_SCHEDULE = {
    # At fixed times: pages show the next run (`publishing.monitoring.schedule`).
    "process-pending-plans": _each(300, "publishing.tasks.process_pending")
    | {"schedule": crontab(minute="*/5")},
    "apply-scheduled-changes": _each(60, "publishing.tasks.apply_scheduled_changes")
    | {"schedule": crontab()},
    "renew-signatures": _each(
        SIGNATURE_RENEW_SECONDS, "publishing.tasks.renew_signatures"
    ),
    "reconcile-open-lessons": _each(60, "publishing.tasks.reconcile_open_lessons"),
    "prune-generations": _each(3600, "publishing.tasks.prune_generations"),
    "heartbeat": _each(60, "publishing.tasks.heartbeat"),
    "watch-disk": _each(60, "publishing.tasks.watch_disk"),
    "watch-queue": _each(30, "publishing.tasks.watch_queue"),
    "distribute": _each(30, "publishing.tasks.distribute"),
    # The task decides whether this is a business hour or the night hour (HEALTH_…).
    "check-health": _each(3600, "publishing.tasks.check_health")
    | {"schedule": crontab(minute="17")},
    "delete-expired-drafts": _each(3600, "content.tasks.delete_expired_drafts"),
    "sync-pending-wallets": _each(900, "players.tasks.sync_pending_wallets"),
    "finish-erasures": _each(300, "players.tasks.finish_erasures"),
    "apply-retention": _each(3600, "players.tasks.apply_retention"),
    "tidy-photos": _each(3600, "players.tasks.tidy_photos"),
    "end-expired-sessions": _each(3600, "players.tasks.end_expired_sessions"),
    "sync-pending-bitmaps": _each(30, "progress.tasks.sync_pending_bitmaps"),
    "reconcile-records": _each(60, "progress.tasks.reconcile_records"),
    "apply-held-events": _each(300, "progress.tasks.apply_held_events"),
    "count-lessons": _each(300, "progress.tasks.count_lessons"),
    "process-inbox": _each(15, "registrar.tasks.process_inbox"),
    "send-effects": _each(15, "registrar.tasks.send_effects"),
    "poll-grades": _each(300, "registrar.tasks.poll_grades"),
    "find-accounts": _each(300, "registrar.tasks.find_accounts"),
    "read-changes": _each(900, "registrar.tasks.read_changes"),
    "reconcile-registrar": _each(3600, "registrar.tasks.reconcile")
    | {"schedule": crontab(hour="2", minute="23")},
    "repair-moodle": _each(3600, "registrar.tasks.repair_moodle")
    | {"schedule": crontab(hour="3", minute="23")},
    "check-zoho": _each(3600, "registrar.tasks.check_zoho")
    | {"schedule": crontab(hour="1,13", minute="41")},
    "follow-registrations": _each(300, "registrar.tasks.follow_registrations"),
    "prune-inbox": _each(3600, "registrar.tasks.prune_inbox"),
    "prune-outbox": _each(3600, "registrar.tasks.prune_outbox"),
    "erase-deleted-students": _each(3600, "registrar.tasks.erase_deleted_students"),
}

# --- Content ----------------------------------------------------------------

CONTENT_ROOT = Path(
    env("MEMORA_CONTENT_ROOT", default=str(BASE_DIR / "public" / "memora_content"))
)
CONTENT_SOURCE: str = env("MEMORA_CONTENT_SOURCE", default="disk")
"""Where this process reads releases: ``disk`` (the content root), or ``bucket`` (the
CDN's) on a web host of the students' API without the content root."""
CONTENT_URL = "/files/memora_content/"
VIDEO_ROOT = Path(env("MEMORA_VIDEO_ROOT", default=str(STATE_DIR / "videos")))
"""The private video folder; videos are served only for signed URLs."""
VIDEO_MAX_BYTES: int = env.int("MEMORA_VIDEO_MAX_BYTES", default=2 * 1024**3)
"""The largest video an editor may upload."""
PICTURE_MAX_BYTES: int = env.int("MEMORA_PICTURE_MAX_BYTES", default=10 * 1024**2)
"""The largest picture of any upload (`core.pictures`), and its limit in pixels:"""
PICTURE_MAX_PIXELS: int = env.int("MEMORA_PICTURE_MAX_PIXELS", default=40_000_000)
PICTURE_MAX_FRAMES = 200
PUBLISH_BATCH_SIZE = 10
PUBLISH_RETRY_DELAYS = (30, 60, 120, 300, 900)
"""Seconds before each retry of a failed build; after the last one, Dead Letter."""
UPLOAD_RETRY_DELAYS = (*PUBLISH_RETRY_DELAYS, 900, 900)
"""The same for uploads, over about an hour; after the last one, Failed."""
UPLOAD_CONCURRENCY = 16
UPLOAD_CONNECT_TIMEOUT = 5
UPLOAD_READ_TIMEOUT = 30
"""Seconds to wait for a response of the bucket."""
CDN_TEST_SECONDS = 40
"""Time limit of a CDN connection test; nginx waits 60 s for its page."""
UPLOAD_ATTEMPTS = 3
"""How often a request is sent before the upload fails and is retried later."""
CDN_PURGE_BACKEND = "publishing.cdn.purging.CloudflarePurger"
"""The class that purges the CDN's cache; it does nothing without a zone and token."""
CLOUDFLARE_API_URL = "https://api.cloudflare.com/client/v4"
PRIVATE_HOSTS: list[str] = env.list("MEMORA_PRIVATE_HOSTS", default=[])
"""Hosts, or ``host:port``, in the operator's network that the CDN's settings may use.
All other hosts must have public addresses and use https."""
SECRETS_KEYS: list[str] = env.list("MEMORA_SECRETS_KEYS", default=[])
"""Fernet keys for the secrets in the database, the newest first."""
HEALTH_TIME_ZONE: str = env(
    "MEMORA_HEALTH_TIME_ZONE", default=env("TIME_ZONE", default="UTC")
)
"""The time zone of the hours below."""
HEALTH_FIRST_HOUR: int = env.int("MEMORA_HEALTH_FIRST_HOUR", default=8)
HEALTH_LAST_HOUR: int = env.int("MEMORA_HEALTH_LAST_HOUR", default=17)
HEALTH_WEEKDAYS: list[str] = env.list(
    "MEMORA_HEALTH_WEEKDAYS", default=["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
)
"""Business hours: a sample is checked every hour."""
HEALTH_NIGHT_HOUR: int = env.int("MEMORA_HEALTH_NIGHT_HOUR", default=3)
"""The hour of the full check."""
HEALTH_REPAIR: bool = env.bool("MEMORA_HEALTH_REPAIR", default=True)
"""Whether the nightly check repairs what it finds."""
HEALTH_SAMPLE_FILES = 300
"""Files in an hourly sample; and releases whose links are checked:"""
HEALTH_SAMPLE_PLANS = 3
HEALTH_STALE_MINUTES = 30
"""A plan that waits longer for its build is overdue."""
HEALTH_FAILURE_RATE = 0.2
"""The highest accepted share of failed runs; and the failures needed to apply it:"""
HEALTH_MIN_FAILURES = 3
HEARTBEAT_TIMEOUT_SECONDS = 180
"""A worker without a heartbeat for this time counts as silent."""
HEALTH_WATCH_SECONDS = 60
"""How often the web servers check the heartbeats of worker and beat; 0: never."""
PUBLISHING_SETTINGS_SECONDS = 1
"""How old the publishing settings may be that a student's request uses."""
HEALTH_ORPHAN_GRACE = 6 * 3600
"""Seconds before an unreferenced file may be deleted: longer than any build."""

# --- Registrar ---------------------------------------------------------------

# Without these settings the registrar does nothing.
REGISTRAR_HMAC_KEYS: list[str] = env.list("MEMORA_REGISTRAR_HMAC_KEYS", default=[])
"""Keys with which senders sign webhooks; the old and the new one while they change."""
REGISTRAR_HEADER_KEYS: list[str] = env.list("MEMORA_REGISTRAR_HEADER_KEYS", default=[])
"""Values of the header X-Registrar-Key, for senders that cannot sign."""
REGISTRAR_TOKENS: list[str] = env.list("MEMORA_REGISTRAR_TOKENS", default=[])
"""Tokens that Zoho's notifications repeat."""
REGISTRAR_INBOX_DAYS: int = env.int("MEMORA_REGISTRAR_INBOX_DAYS", default=30)
"""How long deliveries are kept, with the students' data in their bodies."""
REGISTRAR_OUTBOX_DAYS: int = env.int("MEMORA_REGISTRAR_OUTBOX_DAYS", default=90)
"""How long effects that are done are kept."""
REGISTRAR_ERASE_DAYS: int = env.int("MEMORA_REGISTRAR_ERASE_DAYS", default=0)
"""Days after a student's deletion in Zoho when the copy loses the personal data; 0: never."""
ZOHO_CLIENT_ID: str = env("MEMORA_ZOHO_CLIENT_ID", default="")
ZOHO_CLIENT_SECRET: str = env("MEMORA_ZOHO_CLIENT_SECRET", default="")
ZOHO_REFRESH_TOKEN: str = env("MEMORA_ZOHO_REFRESH_TOKEN", default="")
ZOHO_ACCOUNTS_URL: str = env(
    "MEMORA_ZOHO_ACCOUNTS_URL", default="https://accounts.zoho.com"
)
"""Zoho's accounts server in the region of the account."""
STUDENT_LINK_KEYS: list[str] = env.list("MEMORA_STUDENT_LINK_KEYS", default=[])
"""Keys with which Moodle signs requests for one-time links to the students' pages."""
RECEIPT_ROOT = Path(env("MEMORA_RECEIPT_ROOT", default=str(STATE_DIR / "receipts")))
"""Receipts that students send, until Zoho has them; web servers and workers share it."""
STUDENT_CARD_DAYS: int = env.int("MEMORA_STUDENT_CARD_DAYS", default=365)
"""How long a student card is valid."""
MOODLE_URL: str = env("MEMORA_MOODLE_URL", default="")
MOODLE_TOKEN: str = env("MEMORA_MOODLE_TOKEN", default="")
"""The token of a Moodle user who may call the web services."""
MOODLE_CATEGORY: int = env.int("MEMORA_MOODLE_CATEGORY", default=1)
"""The category of new courses."""
MOODLE_TEMPLATE_COURSE: int = env.int("MEMORA_MOODLE_TEMPLATE_COURSE", default=0)
"""The course that is copied for a new class; 0: courses start empty."""
MOODLE_MANAGERS: list[int] = env.list("MEMORA_MOODLE_MANAGERS", cast=int, default=[])
"""Users of Moodle, by id, who are enrolled in each course."""
MOODLE_ROLES: list[int] = env.list("MEMORA_MOODLE_ROLES", cast=int, default=[1, 3, 5])
"""Moodle's ids of the roles manager, teacher and student."""
MOODLE_HIDES_CANCELLED: bool = env.bool("MEMORA_MOODLE_HIDES_CANCELLED", default=True)
"""Whether the course of a cancelled class is hidden."""
MOODLE_COHORTS: bool = env.bool("MEMORA_MOODLE_COHORTS", default=False)
"""Whether each class has a cohort in Moodle with its students."""
MOODLE_UNENROLS: bool = env.bool("MEMORA_MOODLE_UNENROLS", default=False)
"""Whether a withdrawal removes the student and their grades, not only suspends them."""

# --- Players, progress ------------------------------------------------------

AUTH_USER_MODEL = "players.User"
STREAK_TIME_ZONE: str = env("MEMORA_STREAK_TIME_ZONE", default="UTC")
"""The time zone whose midnight ends a streak day."""
STREAK_FREEZE_EVERY_DAYS: int = env.int("MEMORA_STREAK_FREEZE_EVERY_DAYS", default=7)
"""So many days of a streak earn a freeze; 0: none is earned."""
STREAK_MOST_FREEZES: int = env.int("MEMORA_STREAK_MOST_FREEZES", default=2)
"""A player with so many freezes gets no more; 0: none is earned or given."""
STREAK_DAYS_OFF: list[str] = env.list("MEMORA_STREAK_DAYS_OFF", default=[])
"""Days that do not break a streak (`progress.days_off.parse`)."""
SEASON_CARRIES: list[str] = env.list(
    "MEMORA_SEASON_CARRIES", default=["progress", "streak", "xp"]
)
"""What students keep when a season is opened (`progress.services.season_opening`)."""
# Each lesson has its own base XP, 10 by default.
XP_PER_HEART = 2
XP_FIRST_COMPLETION = 5
XP_NEW_RECORD = 10
XP_REPEATS_PER_DAY: int = env.int("MEMORA_XP_REPEATS_PER_DAY", default=1)
"""How many repeats of a passed lesson earn XP on one day without a new record."""
HELD_EVENTS_PER_PLAYER: int = env.int("MEMORA_HELD_EVENTS_PER_PLAYER", default=500)
"""How many events of lessons that are not published wait for each student."""
XP_REVIEW_SESSION = 3
XP_REVIEW_SESSIONS_PER_DAY: int = env.int(
    "MEMORA_XP_REVIEW_SESSIONS_PER_DAY", default=5
)
"""How many sessions of reviews earn XP on one day."""
# The parameters of FSRS. A card is computed anew with other ones at its next answer.
REVIEW_RETENTION: float = env.float("MEMORA_REVIEW_RETENTION", default=0.9)
"""The share of items that a student should still know when they are due."""
REVIEW_MAXIMUM_DAYS: int = env.int("MEMORA_REVIEW_MAXIMUM_DAYS", default=36_500)
REVIEW_LEARNING_MINUTES: list[float] = env.list(
    "MEMORA_REVIEW_LEARNING_MINUTES", float, default=[1, 10]
)
REVIEW_RELEARNING_MINUTES: list[float] = env.list(
    "MEMORA_REVIEW_RELEARNING_MINUTES", float, default=[10]
)
"""The steps of a new and of a forgotten item before intervals are whole days."""
REVIEW_WEIGHTS: list[float] = env.list("MEMORA_REVIEW_WEIGHTS", float, default=[])
"""The 21 weights of FSRS-6; none: those of the library."""
REVIEW_LEECH_FAILURES: int = env.int("MEMORA_REVIEW_LEECH_FAILURES", default=8)
"""An item that failed so often is a leech."""
REVIEW_SESSION_GAP_MINUTES: int = env.int(
    "MEMORA_REVIEW_SESSION_GAP_MINUTES", default=15
)
"""A session of reviews ends when the student answers nothing for this time."""
ERASED_LEDGER: str = env("MEMORA_ERASED_LEDGER", default="delete")
"""What an erasure does to the student's ledger: ``delete`` or ``pseudonymise``."""
DRAFT_DAYS: int = env.int("MEMORA_DRAFT_DAYS", default=30)
"""Days after which an editor's unsaved input is deleted (`content.drafts`); 0: never."""
SECURITY_EVENT_DAYS: int = env.int("MEMORA_SECURITY_EVENT_DAYS", default=365)
"""How long security events are kept; 0 keeps them for good."""
TRUSTED_PROXIES: int = env.int("MEMORA_TRUSTED_PROXIES", default=0)
"""How many trusted proxies before this server add to X-Forwarded-For."""


def _limit(variable: str, default: str) -> tuple[int, int]:
    """Return ``attempts/seconds`` from the environment as two numbers.

    Raises:
        ImproperlyConfigured: it is not two whole numbers from 1.
    """
    text: str = env(variable, default=default)
    attempts, _slash, seconds = text.partition("/")
    if not all(
        part.isascii() and part.isdigit() and int(part) for part in (attempts, seconds)
    ):
        raise ImproperlyConfigured(
            f"{variable} is {text!r}: write attempts/seconds, such as {default}."
        )
    return int(attempts), int(seconds)


ADMIN_LOGIN_LIMIT = _limit("MEMORA_ADMIN_LOGIN_LIMIT", "10/3600")
"""Wrong passwords of one account from one address; and the seconds it is locked."""
STAFF_BULK_LIMIT = 200
"""Elements of one request of the staff API: about 70 KB of a body's 100 KB."""
RATE_LIMITS = {
    # endpoint (its URL name): (requests, seconds)
    "default": (100, 60),
    # Wrong passwords from one address: for a school of 800, those of every third.
    "login_ip": _limit("MEMORA_LOGIN_ADDRESS_LIMIT", "300/300"),
    # Refused sign-ins to one account from devices that it has not authorised.
    "login_account": _limit("MEMORA_LOGIN_ACCOUNT_LIMIT", "10/300"),
    # Sign-ins to one account from one device that it has authorised.
    "login_device": _limit("MEMORA_LOGIN_DEVICE_LIMIT", "10/60"),
    # Tokens from one address that this server may not have issued.
    "bad_token": _limit("MEMORA_BAD_TOKEN_LIMIT", "60/60"),
    # Wrong old passwords of a member of staff who changes their password.
    "password_change": ADMIN_LOGIN_LIMIT,
    # Links to set a new password, per account: each is an e-mail.
    "reset_link_account": _limit("MEMORA_RESET_LINK_LIMIT", "3/3600"),
    # Wrong codes for a new password, per account.
    "reset_code_account": _limit("MEMORA_RESET_CODE_LIMIT", "10/3600"),
    # Both from one address.
    "reset_ip": _limit("MEMORA_RESET_ADDRESS_LIMIT", "300/3600"),
    # Photos that a student sends: each is decoded and encoded again.
    "me-photo": (10, 600),
    # Links to the students' pages: each adds a row.
    "me-student-link": (10, 300),
    # Limits of audit rows; they refuse no requests.
    "refused": (1, 3600),
    "staff_login_failed": (30, 3600),
}
DEVICE_REPLACEMENTS: int = env.int("MEMORA_DEVICE_REPLACEMENTS", default=0)
"""How many devices a student may replace in a season; 0: only staff change devices."""
DEVICE_REPLACEMENT_COOLING_HOURS: int = env.int(
    "MEMORA_DEVICE_REPLACEMENT_COOLING_HOURS", default=72
)
"""Hours after a replacement before the next one."""
SESSION_IDLE_DAYS: int = env.int("MEMORA_SESSION_IDLE_DAYS", default=90)
"""A player's session ends after this time without use,"""
SESSION_MAX_DAYS: int = env.int("MEMORA_SESSION_MAX_DAYS", default=400)
"""and this time after its sign-in at the latest. Ended tokens are kept as long."""
MIN_APP_VERSION: str = env("MEMORA_MIN_APP_VERSION", default="")
"""The oldest version of the app that may use the API, "" for all of them,"""
APP_STORE_URLS: dict[str, str] = {
    "": env("MEMORA_APP_STORE_URL", default=""),
    "ios": env("MEMORA_APP_STORE_URL_IOS", default=""),
    "android": env("MEMORA_APP_STORE_URL_ANDROID", default=""),
}
"""and where to get a newer one, by platform; "" is for all others."""

# --- Sign-in and security ---------------------------------------------------

AUTHENTICATION_BACKENDS = [
    "players.lockout.LockoutBackend",
    "django.contrib.auth.backends.ModelBackend",
]
# The first one hashes; a hash of another one is replaced at the next sign-in.
PASSWORD_HASHERS = [
    "players.hashers.Argon2idHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"players.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "LengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
PASSWORD_RESET_TIMEOUT = 3600
"""Seconds for which a link to set a new password is valid."""
AXES_HANDLER = "players.lockout.LockoutHandler"
AXES_ONLY_ADMIN_SITE = True
AXES_FAILURE_LIMIT = ADMIN_LOGIN_LIMIT[0]
AXES_COOLOFF_TIME = timedelta(seconds=ADMIN_LOGIN_LIMIT[1])
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_FORM_FIELD = "username"
AXES_USERNAME_CALLABLE = "players.lockout.account_of"
AXES_CLIENT_IP_CALLABLE = "players.lockout.network_of"
AXES_LOCKOUT_CALLABLE = "memora_site.error_views.locked_out"
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False  # its tables are empty: attempts are counted in the cache

CSRF_FAILURE_VIEW = "memora_site.error_views.csrf_failure"
# A lesson of 500 stages has some 5,000 fields.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 6_000
# The lesson page posts its stages as indented JSON: up to 5 times the bytes of
# `content.stage_configs.MAX_LESSON_BYTES`, plus the other fields.
DATA_UPLOAD_MAX_MEMORY_SIZE = 6_000_000
SESSION_COOKIE_AGE = 12 * 3600
"""Seconds until staff must sign in to the admin again; students have tokens."""
SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    # Previews show editors' HTML and have their own, stricter policy
    # (publishing.admin_views.preview_parts).
    "DIRECTIVES": {
        "default-src": [csp.SELF],
        "script-src": [csp.SELF],
        # Django's admin and json-editor use inline styles; styles run no code.
        "style-src": [csp.SELF, csp.UNSAFE_INLINE],
        # Lessons show pictures, sound and videos of any https address.
        "img-src": [csp.SELF, "data:", "blob:", "https:"],
        "media-src": [csp.SELF, "blob:", "https:"],
        "object-src": [csp.NONE],
        "base-uri": [csp.NONE],
        "form-action": [csp.SELF],
        "frame-ancestors": [csp.NONE],
    }
}
"""What pages of this site may load and run: scripts only from this server."""
if PRODUCTION:
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
    SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True

# --- API --------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["players.authentication.PlayerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["players.permissions.IsPlayer"],
    "DEFAULT_THROTTLE_CLASSES": ["players.throttling.CallerThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["memora_site.api_json.OrjsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["memora_site.api_json.OrjsonParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "memora_site.api_json.JSONNegotiation",
    "DEFAULT_SCHEMA_CLASS": "memora_site.openapi.OperationSchema",
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS would answer the docstrings of views
    "EXCEPTION_HANDLER": "memora_site.api_errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
# Web apps of other origins may call the API, with a token and without cookies, if their
# origin is listed; outside production also those of this machine. Published files are
# open to every origin (`publishing.views`).
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOWED_ORIGINS: list[str] = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_ALLOWED_ORIGIN_REGEXES = (
    []
    if PRODUCTION
    else [
        r"^(https?|capacitor|ionic)://(localhost|127\.0\.0\.1|\[::1\]|10\.0\.2\.2)(:[0-9]+)?$"
    ]
)
CORS_ALLOW_METHODS = ["DELETE", "GET", "PATCH", "POST", "PUT"]
CORS_ALLOW_HEADERS = [
    "accept-language",
    "authorization",
    "content-type",
    "idempotency-key",
    "if-none-match",
    "x-app-version",
    "x-device-id",
]
CORS_EXPOSE_HEADERS = [
    "Date",
    "ETag",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
]
SPECTACULAR_SETTINGS = {
    "TITLE": "Memora",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "POSTPROCESSING_HOOKS": ["memora_site.openapi.complete_document"],
    "SERVE_INCLUDE_SCHEMA": False,
    # The docs page loads everything from this server: no CDN, no validator service.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
}

# --- Languages --------------------------------------------------------------

LANGUAGE_CODE = "ar"
LANGUAGES = [("ar", _("Arabic")), ("en", _("English"))]
FORMAT_MODULE_PATH = ["memora_site.formats"]
LOCALE_PATHS = [BASE_DIR / "memora_site" / "locale"]
TIME_ZONE: str = env("TIME_ZONE", default="UTC")
USE_I18N = USE_TZ = True

# --- Static files and uploads -----------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = Path(env("MEMORA_STATIC_ROOT", default=str(BASE_DIR / "staticfiles")))
if not PRODUCTION:  # WhiteNoise needs the folder, even without collected files
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = DEBUG
MEDIA_ROOT = STATE_DIR / "media"
MEDIA_URL = "/media/"
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # nginx reads the videos whose links are signed (`publishing.signing.links`).
    "videos": {
        "BACKEND": "core.private_folder.PrivateFolder",
        "OPTIONS": {
            "root_setting": "VIDEO_ROOT",
            "file_permissions_mode": 0o640,
            "directory_permissions_mode": 0o750,
        },
    },
    # Receipts that students send. Outside MEDIA_ROOT: they have no address.
    "receipts": {
        "BACKEND": "core.private_folder.PrivateFolder",
        "OPTIONS": {
            "root_setting": "RECEIPT_ROOT",
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
    "staticfiles": {
        "BACKEND": (
            "whitenoise.storage.CompressedManifestStaticFilesStorage"
            if PRODUCTION
            else "django.contrib.staticfiles.storage.StaticFilesStorage"
        )
    },
    # "staging" is the published files on this disk, "cdn" their upload target. "cdn"
    # can be any django-storages back end; this one uses the bucket of the publishing
    # settings.
    "staging": {"BACKEND": "publishing.storages.StagingStorage"},
    "cdn": {"BACKEND": "publishing.storages.BucketStorage"},
}
STORAGES.update(env.json("MEMORA_CDN_STORAGES", default={}))

# --- Logs, e-mail and errors ------------------------------------------------

logs.configure_structlog()
LOGGING = logs.logging_config(
    json=PRODUCTION, level=env("MEMORA_LOG_LEVEL", default="INFO").upper()
)
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # personal data; it is in the audit trail

METRICS_TOKEN: str = env("MEMORA_METRICS_TOKEN", default="")
"""The token that requests to ``/metrics`` need; "" allows only this machine."""

EMAIL_CONFIG = env.email_url("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
EMAIL_TIMEOUT = 10  # seconds; a mail server that hangs must not delay a build
DEFAULT_FROM_EMAIL: str = env("DEFAULT_FROM_EMAIL", default="memora@localhost")
if SENTRY_DSN := env("SENTRY_DSN", default=""):
    error_reports.init(SENTRY_DSN, ENVIRONMENT)
