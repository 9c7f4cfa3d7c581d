"""Permissions of the API."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from players.models import User
from players.services.sessions import Player

WRITE_STUDENTS = (
    *("players.add_playerprofile", "players.change_playerprofile"),
    *("players.add_user", "players.change_user"),
    *("players.add_enrollment", "players.add_device"),
    *("players.add_entitlement", "players.change_entitlement"),
    *("players.add_studygroup", "players.add_groupmember"),
)
"""For everything that an import or a bulk request can create or change."""
CHANGE_ACCESS = (
    *("players.add_enrollment", "players.delete_enrollment"),
    *("players.add_entitlement", "players.change_entitlement"),
    *("players.delete_entitlement", "players.change_playerprofile"),
)
"""For plans and products given and taken."""


class IsPlayer(BasePermission):
    """Allow a player with a session. The API's default permission."""

    def has_permission(self, request: Request, _view: Any) -> bool:
        return isinstance(request.user, Player)


class StaffPermission(BasePermission):
    """Allow a member of staff who has the view's permission for this action.

    The view's ``staff_permissions`` maps each action (or lower-case method, for a
    plain view) to a permission such as ``players.add_device``, or to several, all of
    which are needed. An action that it does not contain is refused.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        if not isinstance(user, User) or not (user.is_active and user.is_staff):
            return False
        action = getattr(view, "action", None) or (request.method or "").lower()
        needed = view.staff_permissions.get(action)
        if needed is None:
            return False
        return user.has_perms([needed] if isinstance(needed, str) else needed)
