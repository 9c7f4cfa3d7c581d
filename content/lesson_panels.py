"""Panels of other apps on a lesson's page; ``content`` does not import these apps."""

from collections.abc import Callable

from django.http import HttpRequest
from django.utils.safestring import SafeString

from content.models import Node

PanelProvider = Callable[[HttpRequest, Node], SafeString]

_providers: list[PanelProvider] = []


def register(note: PanelProvider) -> None:
    """Show the panel ``note`` on every lesson's page; for ``AppConfig.ready()``."""
    if note not in _providers:
        _providers.append(note)


def panels_of(request: HttpRequest, lesson: Node) -> list[SafeString]:
    """Return the panels of this lesson that are not empty."""
    return [said for note in _providers if (said := note(request, lesson))]
