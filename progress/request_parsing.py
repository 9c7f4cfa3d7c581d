"""Parsing the requests to progress, without DRF serializers for speed.

Each function returns the value or raises `InvalidBodyError` with the field's name.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from content.kinds import IdProblem, id_problem
from core.parsing import parse_time, whole_number
from progress.errors import InvalidBodyError
from progress.scheduler import RATINGS
from progress.services.reviews import Rating
from progress.xp import MAX_HEARTS

KEY_HEADER = "Idempotency-Key"
KEY_MAX_LENGTH = 100
MOST_REVIEWS = 100
DUE_LIMIT, DUE_MOST = 20, 100


def idempotency_key(headers: Mapping[str, str]) -> str | None:
    """Return the client's name for this request: 1 to 100 printable ASCII characters.

    None if the header is missing.
    """
    key = headers.get(KEY_HEADER)
    if key is None:
        return None
    if (
        not key
        or len(key) > KEY_MAX_LENGTH
        or not (key.isascii() and key.isprintable())
    ):
        raise InvalidBodyError(
            _("The Idempotency-Key header must have 1 to 100 printable characters."),
            field=KEY_HEADER,
        )
    return key


def hearts(body: Any) -> int:
    """Return the hearts of ``{"hearts": 0–5}``."""
    found = _object(body, {"hearts"}, field="")
    return _whole(found, "hearts", 0, MAX_HEARTS, field="hearts")


def ratings(body: Any) -> list[Rating]:
    """Parse ``{"reviews": [{item_id, lesson_id, rating, reviewed_at?}]}``."""
    entries = _object(body, {"reviews"}, field="").get("reviews")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_REVIEWS:
        raise InvalidBodyError(
            _("“reviews” must be a list of 1 to %(most)d ratings.")
            % {"most": MOST_REVIEWS},
            field="reviews",
        )
    return [_rating(entry, f"reviews[{index}]") for index, entry in enumerate(entries)]


def due_limit(query: Mapping[str, str]) -> int:
    """Return the ``limit`` of a query, 1 to 100; the default is 20."""
    limit = whole_number(
        query.get("limit", str(DUE_LIMIT)), minimum=1, maximum=DUE_MOST
    )
    if limit is None:
        raise InvalidBodyError(
            _("“limit” must be a whole number from 1 to %(most)d.")
            % {"most": DUE_MOST},
            field="limit",
        )
    return limit


def _rating(entry: Any, at: str) -> Rating:
    allowed = {"item_id", "lesson_id", "rating", "reviewed_at"}
    found = _object(entry, allowed, field=at)
    return Rating(
        item_id=_id(found, "item_id", at),
        lesson_id=_id(found, "lesson_id", at),
        rating=_whole(
            found, "rating", RATINGS.start, RATINGS.stop - 1, field=f"{at}.rating"
        ),
        reviewed_at=_instant(found, f"{at}.reviewed_at"),
    )


def _object(value: Any, allowed: set[str], *, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidBodyError(
            _("The body must be a JSON object.")
            if not field
            else _("“%(field)s” must be a JSON object.") % {"field": field},
            field=field or "body",
        )
    unknown = sorted(set(value) - allowed)
    if unknown:
        shown = unknown[0][:100]
        name = f"{field}.{shown}" if field else shown
        raise InvalidBodyError(
            _("“%(field)s” is not known here: use %(allowed)s.")
            % {"field": name, "allowed": ", ".join(sorted(allowed))},
            field=name,
        )
    return value


def _whole(
    found: Mapping[str, Any], name: str, least: int, most: int, *, field: str
) -> int:
    value = found.get(name)
    # In Python True is an int, but in JSON it is not a number.
    if type(value) is not int or not least <= value <= most:
        raise InvalidBodyError(
            _("“%(field)s” must be a whole number from %(least)d to %(most)d.")
            % {"field": field, "least": least, "most": most},
            field=field,
        )
    return value


def _id(found: Mapping[str, Any], name: str, at: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or (id_problem(value) is IdProblem.MALFORMED):
        raise InvalidBodyError(
            _("“%(field)s” must be an id.") % {"field": f"{at}.{name}"},
            field=f"{at}.{name}",
        )
    return value


def _instant(found: Mapping[str, Any], field: str) -> datetime | None:
    value = found.get("reviewed_at")
    if value is None:
        return None
    moment = parse_time(value)
    if moment is None:
        raise InvalidBodyError(
            _(
                "“%(field)s” must be an ISO 8601 time with its zone, such as "
                "2026-01-31T08:00:00Z."
            )
            % {"field": field},
            field=field,
        )
    return moment
