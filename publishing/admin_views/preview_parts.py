"""What all pages of the preview share: permission, security headers and texts."""

import unicodedata
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from content.models import Node, SubjectState
from publishing.content_urls import content_base_url, local_base_url
from publishing.models import PublishingSettings

View = Callable[..., HttpResponse]


def require_view(request: HttpRequest, *, plan: bool = False) -> None:
    """Check that the user may view the previewed content.

    Raises:
        PermissionDenied: the user may not view content, or with ``plan``, plans.
    """
    permissions = ["content.view_node", *(["plans.view_academicplan"] if plan else [])]
    if not request.user.has_perms(permissions):
        raise PermissionDenied


def with_security_headers(view: View) -> View:
    """Wrap ``view``: add headers that stop content written by editors from running."""

    @wraps(view)
    def safely(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response.headers["Content-Security-Policy"] = content_security_policy()
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cache-Control"] = "no-store"
        return response

    return safely


def content_security_policy() -> str:
    """Return the Content-Security-Policy of every preview page."""
    current = PublishingSettings.get_solo()
    directives = {
        "{0.scheme}://{0.netloc}".format(urlsplit(base))
        for base in (local_base_url(current), content_base_url(current))
    }
    files = " ".join(sorted(directives))
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "font-src 'self'",
            "connect-src 'self'",
            f"img-src 'self' data: https: {files}",
            f"media-src 'self' https: {files}",
            "frame-src 'self' https:",
            "frame-ancestors 'self'",
            "form-action 'self'",
            "base-uri 'none'",
        )
    )


_RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ku", "ps", "sd", "ug", "ur", "yi"})


def language_and_direction(node: Node) -> dict[str, str]:
    """Return the subject's language and direction; default: the title's direction."""
    state = SubjectState.objects.filter(pk=node.subject_pk).first()
    language = state.language if state else ""
    if language:
        primary = language.split("-")[0].lower()
        direction = "rtl" if primary in _RIGHT_TO_LEFT else "ltr"
        return {"content_language": language, "content_direction": direction}
    return {"content_language": "", "content_direction": direction_of(node.title)}


def direction_of(text: str) -> str:
    """Return ``rtl`` or ``ltr`` by the first letter that has a direction."""
    for character in text:
        match unicodedata.bidirectional(character):
            case "R" | "AL":
                return "rtl"
            case "L":
                return "ltr"
    return "ltr"


def ui_texts() -> dict[str, str]:
    """Return the texts of the app's screens for the script that draws them."""
    return {
        "stage": _("%(place)s of %(count)s"),
        "next": _("Continue"),
        "back": _("Back"),
        "skip": _("Skip"),
        "again": _("Try again"),
        "finish": _("Finish"),
        "done": _("Well done! That was the whole lesson."),
        "restart": _("From the start"),
        "empty": _("This lesson has no stages yet. Students will see it empty."),
        "unfinished": _("This stage is not finished yet."),
        "check": _("Check"),
        "right": _("Right!"),
        "wrong": _("Not quite."),
        "choose_one": _("Choose the right answer."),
        "choose_all": _("Choose all right answers."),
        "matched": _("All pairs found!"),
        "match": _("Choose one on each side."),
        "reveal": _("Turn the card"),
        "hide": _("Turn back"),
        "build": _("Tap the words in the right order."),
        "clear": _("Start again"),
        "answer": _("Your sentence"),
        "gap": _("Gap %(number)s"),
        "fill_in": _("Type what is missing."),
        "solution": _("Show the answer"),
        "own_answer": _("Your answer"),
        "compare": _("Compare with the model answer"),
        "answered": _("I have answered"),
        "model_answer": _("Model answer"),
        "rubric": _("Tick what your answer contains:"),
        "judge": _("How was your answer?"),
        "knew": _("Complete"),
        "knew_partly": _("Partly"),
        "knew_not": _("Not yet"),
        "no_video": _("The video cannot be played here."),
        "completed": _("Completed"),
        "embedded": _("A page of another site"),
        "stage_of_type": _("This type of stage has no preview; its content:"),
        "seconds": _("about %(count)s s"),
    }
