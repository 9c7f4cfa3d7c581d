"""What other apps say of a lesson on its page; content knows none of them."""

from collections.abc import Callable

from django.http import HttpRequest
from django.utils.safestring import SafeString

from content.models import Node

PanelProvider = Callable[[HttpRequest, Node], SafeString]

_providers: list[PanelProvider] = []


def register(note: PanelProvider) -> None:
    """Let ``note`` speak on every lesson's page; for an app's ``ready()``."""
    if note not in _providers:
        _providers.append(note)


def panels_of(request: HttpRequest, lesson: Node) -> list[SafeString]:
    """What there is to say of this lesson, without what is empty."""
    return [said for note in _providers if (said := note(request, lesson))]
