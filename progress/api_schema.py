"""OpenAPI schemas of the progress endpoints (drf-spectacular)."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

Schema = dict[str, Any]

_STRING: Schema = {"type": "string"}
_MAYBE_STRING: Schema = {"type": "string", "nullable": True}
_MAYBE_TIME: Schema = {"type": "string", "format": "date-time", "nullable": True}
_TIME: Schema = {"type": "string", "format": "date-time"}
_WHOLE: Schema = {"type": "integer"}
_FLAG: Schema = {"type": "boolean"}


def _object(properties: Schema, *, optional: tuple[str, ...] = ()) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _json(schema: Schema) -> Schema:
    return {"application/json": schema}


IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description=(
        "The client's name for this request, 1 to 100 printable characters. "
        "A repeat changes nothing and is answered as the first one was."
    ),
)
LESSON_ID = OpenApiParameter("lesson_id", OpenApiTypes.STR, OpenApiParameter.PATH)
SUBJECT_ID = OpenApiParameter("subject_id", OpenApiTypes.STR, OpenApiParameter.PATH)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The `ETag` of the copy that the client has.",
)
ETAG = OpenApiParameter(
    "ETag",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Changes with the progress, the products and the release.",
    response=[200, 304],
)
DUE_SUBJECT = OpenApiParameter("subject", OpenApiTypes.STR, OpenApiParameter.QUERY)
DUE_LIMIT = OpenApiParameter(
    "limit", OpenApiTypes.INT, OpenApiParameter.QUERY, description="1 to 100; else 20."
)

ERROR = _object(
    {"error_code": _STRING, "message": _STRING, "details": {"type": "object"}},
    optional=("details",),
)

COMPLETE_REQUEST = _json(
    _object({"hearts": {"type": "integer", "minimum": 0, "maximum": 5}})
)
COMPLETE_RESPONSE = _object(
    {
        "success": _FLAG,
        "xp_earned": _WHOLE,
        "new_total_xp": _WHOLE,
        "is_first_completion": _FLAG,
        "is_new_record": _FLAG,
        "streak": _object(
            {
                "old": _WHOLE,
                "new": _WHOLE,
                "action": {
                    "type": "string",
                    "enum": ["started", "extended", "unchanged", "reset"],
                },
                "last_success_date": {"type": "string", "format": "date"},
            }
        ),
        "unlocked": _list(_STRING),
        "next_lesson_id": _MAYBE_STRING,
    }
)
NOT_MODIFIED = OpenApiResponse(description="The client's copy is current.")
PROGRESS_RESPONSE = _object(
    {
        "subject_id": _STRING,
        "root": _object(
            {
                "id": _STRING,
                "type": {
                    "type": "string",
                    "enum": ["subject", "track", "unit", "topic", "lesson"],
                },
                "status": {
                    "type": "string",
                    "enum": ["locked", "unlocked", "passed"],
                },
                "locked_reason": {
                    "type": "string",
                    "enum": ["previous", "not_entitled", None],
                    "nullable": True,
                },
                "bit_index": {"type": "integer", "nullable": True},
                "best_hearts": {"type": "integer", "nullable": True},
                "children": _list({"type": "object"}),
            }
        ),
        "completion_percentage": {"type": "number"},
        "total_xp_earned": _WHOLE,
        "suggested_next_lesson_id": _MAYBE_STRING,
        "total_lessons": _WHOLE,
        "entitled_lessons": _WHOLE,
        "passed_lessons": _WHOLE,
    }
)
REVIEWS_RESPONSE = _object(
    {
        "total": _WHOLE,
        "due": _WHOLE,
        "next_due_at": _MAYBE_TIME,
        "subjects": _list(
            _object(
                {
                    "subject_id": _STRING,
                    "total": _WHOLE,
                    "due": _WHOLE,
                    "next_due_at": _MAYBE_TIME,
                }
            )
        ),
    }
)
DUE_RESPONSE = _object(
    {
        "items": _list(
            _object(
                {
                    "item_id": _STRING,
                    "lesson_id": _STRING,
                    "subject_id": _STRING,
                    "due_at": _TIME,
                    "last_reviewed_at": _MAYBE_TIME,
                }
            )
        )
    }
)
REVIEW_REQUEST = _json(
    _object(
        {
            "reviews": _list(
                _object(
                    {
                        "item_id": _STRING,
                        "lesson_id": _STRING,
                        "rating": {"type": "integer", "minimum": 1, "maximum": 4},
                        "reviewed_at": _TIME,
                    },
                    optional=("reviewed_at",),
                )
            )
        }
    )
)
REVIEW_RESPONSE = _object(
    {
        "accepted": _WHOLE,
        "reviews": _list(
            _object({"item_id": _STRING, "lesson_id": _STRING, "due_at": _TIME})
        ),
    }
)
