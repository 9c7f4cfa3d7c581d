"""What other apps say of a lesson on its page; content knows none of them."""

from collections.abc import Callable

from django.http import HttpRequest
from django.utils.safestring import SafeString

from content.models import Node

Note = Callable[[HttpRequest, Node], SafeString]

_notes: list[Note] = []


def register(note: Note) -> None:
    """Let ``note`` speak on every lesson's page; for an app's ``ready()``."""
    if note not in _notes:
        _notes.append(note)


def notes_of(request: HttpRequest, lesson: Node) -> list[SafeString]:
    """What there is to say of this lesson, without what is empty."""
    return [said for note in _notes if (said := note(request, lesson))]
