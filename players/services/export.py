"""All data about a student, as one document for them."""

import base64
import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.translation import gettext as _

from core.pictures import FORMATS
from players import audit
from players.errors import PlayerNotFoundError
from players.models import PlayerProfile, SecurityEventType, User
from players.services import wallet
from players.services.erasure import Holding, holdings

FORMAT = "memora-player/1"
_TYPES = {kind.suffix: kind.content_type for kind in FORMATS.values()}


def export_player(
    *,
    player_id: int,
    actor_id: int | None = None,
    ip_address: str | None = None,
    now: datetime,
) -> dict[str, Any]:
    """Return all data about a student, and record the export in the audit trail.

    Secrets (the hashes of the password and the session token) and the names of other
    people are left out. The number of queries depends only on the number of tables.

    Args:
        actor_id: the member of staff who does it.

    Returns:
        A document for `as_json`.

    Raises:
        PlayerNotFoundError: there is no such player.
        OSError: the photo cannot be read.
    """
    profile = (
        PlayerProfile.objects.select_related(
            "user", "grade", "stream", "season", "active_plan"
        )
        .filter(pk=player_id, erased_at=None)
        .first()
    )
    if profile is None:
        raise PlayerNotFoundError(_("There is no player %(id)s.") % {"id": player_id})
    document = {
        "format": FORMAT,
        "exported_at": now,
        "account": _account(profile.user),
        "player": _player(profile),
        "photo": _photo(profile),
        "wallet": _wallet(profile.pk),
        **{held.name: _rows(held, profile) for held in holdings() if held.name},
        "admin_log": _admin_log(profile),
        "sign_in_attempts": _attempts(profile.user.email),
    }
    audit.record(
        SecurityEventType.PLAYER_EXPORTED,
        user_id=profile.user_id,
        actor_id=actor_id,
        ip_address=ip_address,
    )
    return document


def as_json(document: Any) -> str:
    """Return an exported document as indented JSON, without ASCII escapes."""
    return json.dumps(document, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2)


def _account(user: User) -> dict[str, Any]:
    return {
        "number": user.pk,
        "email": user.email,
        "name": user.full_name,
        "is_active": user.is_active,
        "joined_at": user.date_joined,
        "last_sign_in_at": user.last_login,
    }


def _player(profile: PlayerProfile) -> dict[str, Any]:
    own = {"user_id", "photo", "erased_at"}
    row = {
        field.attname: getattr(profile, field.attname)
        for field in PlayerProfile._meta.concrete_fields
        if field.attname not in own
    }
    titles = {
        name: str(value) if (value := getattr(profile, name)) is not None else None
        for name in ("grade", "stream", "season", "active_plan")
    }
    return row | titles


def _photo(profile: PlayerProfile) -> dict[str, Any] | None:
    name = profile.photo.name
    if not name:
        return None
    try:
        with profile.photo.open() as file:
            data: bytes = file.read()
    except FileNotFoundError:
        return None
    suffix = f".{name.rpartition('.')[2]}"
    return {
        "content_type": _TYPES.get(suffix, "application/octet-stream"),
        "base64": base64.b64encode(data).decode(),
    }


def _wallet(player_id: int) -> dict[str, Any]:
    return asdict(wallet.get(player_id))


def _rows(held: Holding, profile: PlayerProfile) -> list[dict[str, Any]]:
    left_out = held.withheld | {held.field.attname}
    names = [
        field.attname
        for field in held.model._meta.concrete_fields
        if field.attname not in left_out
    ]
    rows = held.rows(profile).order_by("pk")
    return list(rows.values(*names, *held.also))


def _admin_log(profile: PlayerProfile) -> list[dict[str, Any]]:
    """Return what staff did to the student in the admin, without their names."""
    found: list[dict[str, Any]] = []
    for model, pk in ((PlayerProfile, profile.pk), (User, profile.user_id)):
        entries = LogEntry.objects.filter(
            content_type=ContentType.objects.get_for_model(model), object_id=str(pk)
        )
        found += [
            {
                "when": entry.action_time,
                "about": entry.object_repr,
                "what": entry.get_change_message(),
            }
            for entry in entries.order_by("pk")
        ]
    return found


def _attempts(email: str) -> list[dict[str, Any]]:
    return [
        row
        for model in (AccessAttempt, AccessFailureLog, AccessLog)
        for row in model.objects.filter(username=email).values(
            "attempt_time", "ip_address", "user_agent", "path_info"
        )
    ]
