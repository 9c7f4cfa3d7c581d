"""Who may see a class, and the progress of its students: staff, and its teachers."""

from django.db.models import QuerySet
from django.http import HttpRequest

from players.models import GroupMember, PlayerProfile, StudyGroup
from players.roles import TEACH

_EVERY_CLASS = (
    "players.view_studygroup",
    "players.view_playerprofile",
    "progress.view_structureprogress",
)


def sees_every_class(request: HttpRequest) -> bool:
    """Whether the user may view all students and their progress."""
    return request.user.has_perms(_EVERY_CLASS)


def sees_classes(request: HttpRequest) -> bool:
    """Whether the user may view classes: all, or those that they teach."""
    return sees_every_class(request) or request.user.has_perm(TEACH)


def classes_of(request: HttpRequest) -> QuerySet[StudyGroup]:
    """Return the classes that the user may view, by name."""
    groups = StudyGroup.objects.order_by("name")
    if sees_every_class(request):
        return groups
    return taught_by(request)


def taught_by(request: HttpRequest) -> QuerySet[StudyGroup]:
    """Return the classes that the user teaches, by name; none without the permission."""
    if not request.user.has_perm(TEACH):
        return StudyGroup.objects.none()
    return StudyGroup.objects.order_by("name").filter(teachers=request.user.pk)


def students_of(request: HttpRequest) -> QuerySet[PlayerProfile]:
    """Return the students whose progress the user may view, without erased ones."""
    students = PlayerProfile.objects.filter(erased_at=None)
    if sees_every_class(request):
        return students
    members = GroupMember.objects.filter(group__in=taught_by(request).order_by())
    return students.filter(pk__in=members.values("player_id"))
