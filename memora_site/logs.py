"""How the site logs: structured events, JSON in production, no secrets.

Plain rules and configuration: no Django here, because the settings use it.
"""

import re
from collections.abc import Mapping
from typing import Any

import structlog

REMOVED = "[removed]"

_SECRET_KEY = re.compile(
    r"authorization|token|password|passwd|secret|cookie|csrf|signature|api_?key"
    r"|dsn|e_?mail",
    re.IGNORECASE,
)
_SECRET_TEXT = (
    # "Bearer 42.abcdef", "Basic …"
    (re.compile(r"\b(Bearer|Basic)\s+[^\s\"',;]+", re.IGNORECASE), rf"\1 {REMOVED}"),
    # ?token=…&password=… in a URL or form, "token": "…" in JSON or a repr
    (
        re.compile(
            r"(\b[\w-]*(?:token|password|secret|signature|api_?key)"
            r"[\"']?\s*[=:]\s*[\"']?)[^\s&\"',;})\]]+",
            re.IGNORECASE,
        ),
        rf"\1{REMOVED}",
    ),
    # redis://user:password@host
    (re.compile(r"(\w+://)[^\s/@]+@"), rf"\1{REMOVED}@"),
    (re.compile(r"[\w.+%-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+"), REMOVED),
)


def without_secrets(value: Any) -> Any:
    """``value`` with every secret and e-mail address in it taken out.

    Looks into mappings, lists and tuples, at keys and inside texts.
    """
    if isinstance(value, str):
        for pattern, replacement in _SECRET_TEXT:
            value = pattern.sub(replacement, value)
        return value
    if isinstance(value, Mapping):
        return {
            key: REMOVED
            if item is not None and _SECRET_KEY.search(str(key))
            else without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value]
    return value


def remove_secrets(
    _logger: Any, _method: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    """structlog's hook for ``without_secrets``; the last step before rendering."""
    cleaned: structlog.types.EventDict = without_secrets(event)
    return cleaned


_SHARED: list[structlog.types.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
"""What every event gets, ours and other libraries'."""


def configure_structlog() -> None:
    """Hand structlog's events to the standard library, which writes them."""
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
    """Django's ``LOGGING``: one handler on standard error.

    ``json`` writes one JSON object a line; else lines for people.
    """
    render: list[structlog.types.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        remove_secrets,
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
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": render,
                "foreign_pre_chain": _SHARED,
            }
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "structured"}
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Django's own handlers (console when debugging, mail to ADMINS) go.
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "django.server": {"handlers": [], "level": "INFO", "propagate": True},
            # django-structlog says the same of every request, with its id.
            "django.request": {"handlers": [], "level": "CRITICAL"},
            # ... and of every task.
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            # Strangers asking for other hosts are answered 400, not reported.
            "django.security.DisallowedHost": {"handlers": [], "level": "CRITICAL"},
        },
    }
