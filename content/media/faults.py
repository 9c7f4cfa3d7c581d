"""Name the media of stages and nodes that students cannot open.

Files on other hosts are not requested.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from content.json_errors import Fault
from content.media import files
from content.media.references import Reference, Use, is_external, of_config
from content.models import MediaKind


def of_stages(
    stages: Iterable[tuple[str, Any]],
    *,
    ask_bucket: bool = False,
    expected: Collection[str] = (),
) -> list[list[Fault]]:
    """Return the faults of each stage, in order. No query.

    Args:
        stages: type and stored config of each.
        ask_bucket: ask the bucket for videos that are not on this server, with one
            request for each.
        expected: paths of files that do not count as missing.
    """
    found = [of_config(type_name, config) for type_name, config in stages]
    sources = {
        reference.address
        for references in found
        for reference in references
        if reference.use is Use.VIDEO and not is_external(reference.address)
        if not reference.address.startswith("/")
    }
    no_video = (
        files.missing(
            MediaKind.VIDEO, sources.difference(expected), ask_bucket=ask_bucket
        )
        if sources
        else set()
    )
    return [list(_faults(references, no_video, expected)) for references in found]


def _faults(
    references: list[Reference], no_video: Collection[str], expected: Collection[str]
) -> Iterator[Fault]:
    for reference in references:
        address = reference.address
        if is_external(address):
            continue
        path = files.public_path(address)
        if path is not None:
            reason = "" if path in expected else public_reason(path)
        elif reference.use is Use.LINK or address.startswith(settings.STATIC_URL):
            continue
        elif address in no_video:
            reason = _("there is no video “%(file)s”") % {"file": address}
        elif reference.path == ("source",) and reference.use is Use.VIDEO:
            continue
        else:
            reason = _(
                "“%(file)s” is not an address that students can open: upload the file"
            ) % {"file": address}
        if reason:
            yield reference.path, reason


def public_reason(path: str) -> str:
    """Return why students cannot open an upload; "" if they can.

    Args:
        path: the path below ``MEDIA_ROOT``.
    """
    if not files.is_readable(path):
        return _("students may not read “%(file)s”: upload it again") % {"file": path}
    if files.missing(MediaKind.PICTURE, [path]):
        return _("there is no file “%(file)s”") % {"file": path}
    return ""


def of_image(image: str) -> str:
    """Return why students cannot open a node's image; "" if they can or there is none."""
    if not image or is_external(image):
        return ""
    return public_reason(image)
