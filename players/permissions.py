"""Permissions of the API."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from players.models import User
from players.services.sessions import Player


class IsPlayer(BasePermission):
    """Allow a player with a session. The API's default permission."""

    def has_permission(self, request: Request, _view: Any) -> bool:
        return isinstance(request.user, Player)


class StaffPermission(BasePermission):
    """Allow a member of staff who has the view's permission for this action.

    The view's ``staff_permissions`` maps each action (or lower-case method, for a
    plain view) to a permission such as ``players.add_device``. An action that it
    does not contain is refused.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        if not isinstance(user, User) or not (user.is_active and user.is_staff):
            return False
        action = getattr(view, "action", None) or (request.method or "").lower()
        needed = view.staff_permissions.get(action)
        return needed is not None and user.has_perm(needed)
