"""Logging: structured events, JSON in production, without secrets.

No Django imports, because the settings import this module.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any

import orjson
import structlog

REMOVED = "[removed]"
MAX_TEXT = 32_768
"""Maximum number of characters of a text that are logged."""
MARGIN = 1_024
"""Characters beyond `MAX_TEXT` that are searched: longer than an e-mail address or a
URL's user part, so that cutting does not leave a part of one."""

_SENSITIVE = (
    r"token|passw(?:or)?d|passphrase|pwd|secret|signature|credential|csrf|sessionid"
    r"|(?:api|access|private|session)[_-]?key"
)
_SECRET_KEY = re.compile(
    rf"{_SENSITIVE}|authorization|cookie|dsn|e_?mail", re.IGNORECASE
)
_SEPARATOR = r"[\\\"']*+\s*+(?:=>|[=:]|%3[ad])\s*+"
_QUOTED = (
    r"(?<=\\\")[^\"\\]++|(?<=\\')[^'\\]++"  # \"…\" in a text that is itself quoted
    r"|(?<=\")(?:[^\"\\]|\\.)++|(?<=')(?:[^'\\]|\\.)++"
)


def _word_with(names: str) -> str:
    """Return a pattern for a whole word that contains one of ``names``."""
    return rf"(?:(?!{names})[\w-])*+(?:{names})[\w-]*+"


# The text is untrusted, so matching must take linear time: every unlimited quantifier
# is possessive (``*+``, ``++``), and a pattern that begins with a run of characters
# matches only at the start of the run (``(?<!…)``).
SECRET_TEXT = (
    # "Bearer 42.abcdef", "Basic …", "Zoho-oauthtoken 1000.…"
    (
        re.compile(
            r"(?<!\w)(Bearer|Basic|Zoho-oauthtoken)\s++[^\s\"',;]++", re.IGNORECASE
        ),
        rf"\1 {REMOVED}",
    ),
    # A session token (`players.tokens`), anywhere
    (
        re.compile(r"(?<![\w.-])[1-9][0-9]{0,17}\.[A-Za-z0-9_-]{43}(?![\w-])"),
        REMOVED,
    ),
    # A token of Zoho, anywhere: 1000.<32 hexadecimal digits>.<32 hexadecimal digits>
    (
        re.compile(r"(?<![\w.])1000\.[0-9a-f]{32}\.[0-9a-f]{32}(?!\w)", re.IGNORECASE),
        REMOVED,
    ),
    # "Authorization: …", "Cookie: a=b; c=d": to the end of the line or of the quotes
    (
        re.compile(
            rf"(?<![\w-])({_word_with('authorization|cookie')}{_SEPARATOR}\\*+[\"']?+)"
            rf"(?:{_QUOTED}|[^\r\n\"']++)",
            re.IGNORECASE,
        ),
        rf"\1{REMOVED}",
    ),
    # ?token=…&password=… in a URL or form, "token": "…" in JSON or a repr
    (
        re.compile(
            rf"(?<![\w-])({_word_with(_SENSITIVE)}{_SEPARATOR}\\*+[\"']?+)"
            rf"(?:{_QUOTED}|[^\s&\"',;}})\]\\]++)",
            re.IGNORECASE,
        ),
        rf"\1{REMOVED}",
    ),
    # ?q=…: searches in the admin contain students' names
    (re.compile(r"(?<=[?&])(q=)[^\s&\"']++"), rf"\1{REMOVED}"),
    # redis://user:password@host
    (re.compile(r"(?<!\w)(\w++://)(?:[^\s/@]*+@)++"), rf"\1{REMOVED}@"),
    (
        re.compile(
            r"(?:(?<![\w.+%-])|(?<=%40))(?:[\w.+-]++|%(?!40))++(?:@|%40)"
            r"[\w-]++(?:\.[\w-]++)++"
        ),
        REMOVED,
    ),
)


def redact(value: Any) -> Any:
    """Return ``value`` with all secrets and e-mail addresses removed.

    Checks keys and texts in mappings, lists, tuples and sets. Numbers and None stay;
    any other value becomes a text. Texts longer than `MAX_TEXT` are cut.
    """
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return {
            redact(key) if isinstance(key, str) else key: REMOVED
            if item is not None and _SECRET_KEY.search(str(key))
            else redact(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item) for item in value]
    return _clean(value if isinstance(value, str) else str(value))


def _clean(text: str) -> str:
    is_long = len(text) > MAX_TEXT
    clean = text[: MAX_TEXT + MARGIN]
    for pattern, replacement in SECRET_TEXT:
        clean = pattern.sub(replacement, clean)
    if not is_long:
        return clean
    # The text at the cut may be part of a secret that no pattern matches.
    return f"{clean[:-MARGIN]}… [{len(text)} characters]"


def redact_event(
    _logger: Any, _method: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    """structlog processor for `redact`; the last step before rendering."""
    cleaned: structlog.types.EventDict = redact(event)
    return cleaned


_SHARED: list[structlog.types.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
"""Processors of every event, of this project and of libraries."""


REQUESTS = "memora_site.requests"
"""The logger of `memora_site.request_log`; its events contain no secrets."""


class JSONFormatter(structlog.stdlib.ProcessorFormatter):
    """One JSON object per line; an event of `REQUESTS` needs no processing."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name == REQUESTS and isinstance(record.msg, dict):
            return orjson.dumps(record.msg, default=str).decode()
        return super().format(record)


def configure_structlog() -> None:
    """Pass structlog's events to the standard library, which writes them."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def logging_config(*, json: bool, level: str) -> dict[str, Any]:
    """Return Django's ``LOGGING``: one handler on standard error.

    ``json`` writes one JSON object per line; else lines for a terminal.
    """
    render: list[structlog.types.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        redact_event,
    ]
    if json:
        render.append(structlog.processors.JSONRenderer(default=str))
    else:
        render.append(structlog.dev.ConsoleRenderer(colors=False))
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": JSONFormatter if json else structlog.stdlib.ProcessorFormatter,
                "processors": render,
                "foreign_pre_chain": _SHARED,
            }
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "structured"}
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Remove Django's handlers (console with DEBUG, mail to ADMINS).
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "django.server": {"handlers": [], "level": "INFO", "propagate": True},
            # django-structlog already logs every request, with its id ...
            "django.request": {"handlers": [], "level": "CRITICAL"},
            # ... and every task.
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            # The names of the glyphs in a printed document.
            "fontTools": {"level": "WARNING"},
            # Each request with its address, and at DEBUG its headers.
            "httpx": {"level": "WARNING"},
            "httpcore": {"level": "WARNING"},
            # Requests for other hosts get a 400 and are not logged.
            "django.security.DisallowedHost": {"handlers": [], "level": "CRITICAL"},
        },
    }
