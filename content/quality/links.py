"""Links that lead nowhere, and files that students cannot open.

Other hosts are not requested: of their addresses only the form is checked.
"""

import html
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator, validate_email
from django.urls import Resolver404, resolve, reverse
from django.utils.translation import gettext as _

from content import config_texts
from content.html_tokens import tokens
from content.json_errors import Path
from content.media import faults, files
from content.media.references import Reference, Use, file_name, is_external, of_config
from content.quality.findings import Finding, Problem, StageContent, of_stage
from content.tree import ContentNode

_NODE_ID = re.compile(r"(?:SUBJ|TRK|UNIT|TOP|LES)-[A-Za-z0-9_-]{1,60}", re.ASCII)
_TOP = frozenset({"", "top"})
"""Fragments that lead to the start of every page."""
_TELEPHONE = re.compile(r"\+?[0-9().\s-]{3,30}\Z", re.ASCII)


@dataclass(slots=True)
class StageLinks:
    """The addresses of a stage, and the ids that are in each of its texts."""

    stage: StageContent
    references: list[Reference]
    targets: dict[Path, set[str]] = field(default_factory=dict)


def read(stages: Iterable[StageContent]) -> list[StageLinks]:
    """Return the stages that have addresses, in order."""
    found = []
    for stage in stages:
        references = of_config(stage.type, stage.config)
        if references:
            links = StageLinks(stage, references)
            inner = {r.path for r in references if r.address.startswith("#")}
            if inner:
                links.targets = _targets(stage, inner)
            found.append(links)
    return found


def _targets(stage: StageContent, paths: Collection[Path]) -> dict[Path, set[str]]:
    """Return the ids in the HTML texts at ``paths``; Markdown has none."""
    return {
        path: {
            html.unescape(value)
            for token in tokens(text)
            for name, value in token.attribute_values()
            if name == "id"
        }
        for path, place, text in config_texts.fields(stage.type, stage.config)
        if path in paths and place.get("contentMediaType") == "text/html"
    }


def node_ids(found: Iterable[StageLinks]) -> set[str]:
    """Return the public ids of nodes that links name."""
    return {
        public_id
        for links in found
        for reference in links.references
        if reference.use is Use.LINK
        for public_id in _ids_in(reference.address)
    }


def _ids_in(address: str) -> list[str]:
    """Return the ids in the path of an address of this site."""
    here = _path_here(address)
    return [] if here is None else _NODE_ID.findall(here)


def broken(found: Iterable[StageLinks], known_ids: Collection[str]) -> list[Finding]:
    """Return the links of stages that lead nowhere, and their missing files.

    Args:
        known_ids: those of `node_ids` that exist.
    """
    broken: list[Finding] = []
    listed = list(found)
    missing = faults.of_stages((one.stage.type, one.stage.config) for one in listed)
    for links, files_missing in zip(listed, missing, strict=True):
        reasons = list(files_missing)
        for reference in links.references:
            targets = links.targets.get(reference.path, set())
            reason = _reason(reference, targets, known_ids)
            if reason:
                reasons.append((reference.path, reason))
        # The same address may be in a text more than once.
        for path, reason in dict.fromkeys(reasons):
            broken.append(of_stage(Problem.BROKEN_LINK, links.stage, reason, path))
    return broken


def broken_images(nodes: Iterable[ContentNode]) -> Iterator[Finding]:
    """Yield the nodes whose image students cannot open."""
    for node in nodes:
        path = files.public_path(node.image) if node.image else None
        reason = faults.public_reason(path) if path is not None else ""
        if reason:
            yield Finding(Problem.BROKEN_LINK, node, reason)


def _reason(
    reference: Reference, targets: Collection[str], known_ids: Collection[str]
) -> str:
    """Return why an address leads nowhere; "" if it does not, or if
    `content.media.faults` has checked it.
    """
    address = reference.address.strip()
    if address.startswith("#"):
        is_found = unquote(address[1:]) in _TOP.union(targets)
        return "" if is_found else _no_target(address)
    path = files.public_path(address)
    if path is not None:
        return faults.public_reason(path) if is_external(address) else ""
    here = _path_here(address)
    if here is None:
        return _malformed_reason(address)
    if reference.use is not Use.LINK or here.startswith(settings.STATIC_URL):
        return ""
    return _reason_here(address, here, known_ids)


def _no_target(address: str) -> str:
    return _("“%(address)s”: the text has no element with this id") % {
        "address": address
    }


def _path_here(address: str) -> str | None:
    """Return the path of an address of this site; None for other addresses."""
    base = settings.SITE_URL.rstrip("/")
    name = file_name(address)
    if base and (name == base or name.startswith(f"{base}/")):
        return name.removeprefix(base) or "/"
    return None if is_external(address) else name


def _reason_here(address: str, path: str, known_ids: Collection[str]) -> str:
    """Return why an address of this site leads nowhere; "" if it does not."""
    unknown = [one for one in _NODE_ID.findall(path) if one not in known_ids]
    if unknown:
        return _("“%(address)s”: there is no content with the id %(id)s") % {
            "address": address,
            "id": unknown[0],
        }
    if not path.startswith("/"):
        return _(
            "“%(address)s” is not complete: write an address that starts with https://"
        ) % {"address": address}
    if path.startswith(reverse("admin:index")):
        return _("“%(address)s” is a page for staff: students cannot open it") % {
            "address": address
        }
    try:
        resolve(path)
    except Resolver404:
        return _("“%(address)s”: this site has no such page") % {"address": address}
    return ""


def _check_url(address: str) -> None:
    """Raise a `ValidationError` for an address that is not of the web."""
    URLValidator(schemes=["http", "https"])(address)


def _malformed_reason(address: str) -> str:
    """Return that an address of another host is malformed; "" if it is not."""
    try:
        scheme = urlsplit(address).scheme.lower()
        rest = unquote(address.partition(":")[2])
        match scheme:
            case "mailto":
                validate_email(rest.partition("?")[0])
                return ""
            case "tel":
                is_valid = bool(_TELEPHONE.match(rest))
            case "":  # ``//host/…``
                _check_url(f"https:{address}")
                return ""
            case _:
                _check_url(address)
                return ""
    except (ValidationError, ValueError):
        is_valid = False
    return "" if is_valid else _("“%(address)s” is not valid") % {"address": address}
