"""Who may ask."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from players.models import User
from players.services.sessions import Player


class IsPlayer(BasePermission):
    """A player with a session: what every endpoint asks unless it says otherwise."""

    def has_permission(self, request: Request, _view: Any) -> bool:
        return isinstance(request.user, Player)


class StaffPermission(BasePermission):
    """A member of staff with the permission the view names for this action.

    The view's ``staff_permissions`` maps each action (or lower-case method, for a
    plain view) to a permission such as ``players.add_device``; what it does not
    name nobody may do.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        if not isinstance(user, User) or not (user.is_active and user.is_staff):
            return False
        action = getattr(view, "action", None) or (request.method or "").lower()
        needed = view.staff_permissions.get(action)
        return needed is not None and user.has_perm(needed)
