"""Releases read from the CDN's bucket, on a web host without the content root.

``CONTENT_SOURCE = "bucket"`` selects it (docs/deploy.md, "Several machines"). A plan's
manifest is read at most every `FRESH_SECONDS`, in the background; its other files only
when it has changed. So a new release is seen some seconds after its upload, and no
request waits for the bucket except the first ones of a process.

A file must have the hash that its manifest names. While an upload replaces the files of
a plan some do not; the release before is kept until all do. It is also kept while the
bucket does not answer.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError as NotInTime
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

import orjson
import structlog
from django.db import connections
from django.utils.translation import gettext as _

from core.errors import MemoraError
from core.time_budget import WAIT
from publishing.cdn.backends.base import Target
from publishing.cdn.backends.storage import targets_of
from publishing.format import encoding, locations
from publishing.models import Publication, PublishingSettings
from publishing.published_content import (
    NotPublishedError,
    PlanStructure,
    read_release,
)

log = structlog.get_logger(__name__)

FRESH_SECONDS = 10.0
"""How long a manifest counts as the current one; without a copy, how soon to try again:"""
PAUSE_SECONDS = 2.0
WAIT_SECONDS = 1.5
"""How long a request waits for the first copy of a plan, or for lessons' files."""
_THREADS = 16


class ContentAwayError(MemoraError):
    """The bucket does not answer, and this process has no copy of the release."""

    code = "SERVICE_UNAVAILABLE"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}

    def __init__(self) -> None:
        super().__init__(
            _("The service is not available at the moment. Please try again shortly.")
        )


class _ChangingError(Exception):
    """A file is not the one that the manifest names: an upload is under way."""


@dataclass(slots=True)
class _Copy:
    """What this process knows of a plan; ``plan`` is None for one without a release."""

    plan: PlanStructure | None = None
    is_known: bool = False
    checked_at: float = -FRESH_SECONDS
    reading: "Future[None] | None" = None
    lock: threading.Lock = field(default_factory=threading.Lock)


_copies: dict[str, _Copy] = {}


def load_plan(plan_id: str) -> PlanStructure:
    """Return the plan's current release as this process knows it; no query.

    Raises:
        NotPublishedError: the plan has no release.
        ContentAwayError: there is no copy yet, and the bucket did not answer within
            `WAIT_SECONDS`.
    """
    copy = _copies.setdefault(plan_id, _Copy())
    reading = _refresh(plan_id, copy)
    if not copy.is_known and reading is not None:
        with WAIT:
            _wait(reading)
    if not copy.is_known:
        raise ContentAwayError
    if copy.plan is None:
        raise NotPublishedError
    return copy.plan


def is_published(plan_id: str) -> bool:
    """Return whether the plan has a release, from the tables. One query."""
    publications = Publication.objects.filter(plan_public_id=plan_id)
    return publications.exclude(generation=None).exists()


def read_lessons(
    lesson_ids: Iterable[str], *, gated: set[str], current: PublishingSettings
) -> dict[str, bytes | None]:
    """Return the bytes of lessons' files; None for one that cannot be read now.

    They are read side by side, within `WAIT_SECONDS` together. No query.

    Args:
        gated: the lessons whose files are in the private bucket.
    """
    found: dict[str, bytes | None] = dict.fromkeys(lesson_ids)
    try:
        targets = targets_of(current, interactive=True)
    except MemoraError as error:  # the settings of the CDN are not valid
        log.warning("bucket_unusable", error=type(error).__name__)
        return found
    reads = {}
    for lesson_id in found:
        target = targets.private if lesson_id in gated else targets.public
        if target is not None:
            path = locations.lesson(lesson_id)
            reads[lesson_id] = _threads().submit(target.read, path)
    until = time.monotonic() + WAIT_SECONDS
    with WAIT:
        for lesson_id, reading in reads.items():
            try:
                found[lesson_id] = reading.result(max(0.0, until - time.monotonic()))
            except (NotInTime, MemoraError) as error:
                reading.cancel()
                log.warning("lesson_unreadable", error=type(error).__name__)
    return found


def forget() -> None:
    """Drop all copies (for tests)."""
    _copies.clear()


def _refresh(plan_id: str, copy: _Copy) -> "Future[None] | None":
    """Start reading the manifest again if it is time; return the reading under way."""
    seconds = FRESH_SECONDS if copy.is_known else PAUSE_SECONDS
    if time.monotonic() - copy.checked_at < seconds:
        return None
    with copy.lock:
        if copy.reading is None or copy.reading.done():
            copy.reading = _threads().submit(_read, plan_id, copy)
        return copy.reading


def _wait(reading: "Future[None]") -> None:
    try:
        reading.result(WAIT_SECONDS)
    except NotInTime:
        log.warning("content_not_in_time")


def _read(plan_id: str, copy: _Copy) -> None:
    """Bring a copy up to date; a failure leaves it as it is."""
    try:
        copy.plan = _current(plan_id, copy.plan)
        copy.is_known = True
    except (MemoraError, _ChangingError) as error:
        log.warning("content_not_read", plan=plan_id, error=type(error).__name__)
    except Exception:
        log.exception("content_not_read", plan=plan_id)
    finally:
        # Also after a failure: a bucket that is away is not asked by every request.
        copy.checked_at = time.monotonic()
        connections.close_all()


def _current(plan_id: str, held: PlanStructure | None) -> PlanStructure | None:
    target = targets_of(PublishingSettings.get_solo(), interactive=True).public
    manifest = target.read(locations.manifest(plan_id))
    if manifest is None:
        return None
    digest = encoding.sha256(manifest)
    if held is not None and held.manifest_hash == digest:
        return held
    return read_release(plan_id, digest, _Files(target, plan_id, manifest).read)


class _Files:
    """The files of one release in the bucket."""

    def __init__(self, target: Target, plan_id: str, manifest: bytes) -> None:
        self._target = target
        self._folder = locations.plan_folder(plan_id)
        self._manifest = manifest
        self._hashes: dict[str, str] = {}
        for subject in orjson.loads(manifest)["subjects"]:
            for document, ending in (("hierarchy", "h"), ("bitmap", "b")):
                name = f"{subject['id']}_{ending}.json"
                self._hashes[name] = subject[f"{document}_hash"]

    def read(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises:
            _ChangingError: it is not the one that the manifest names.
            FileNotFoundError: a topic's file does not exist.
            DistributionError: the bucket refuses or does not answer.
        """
        if name == "manifest.json":
            return self._manifest
        data = self._target.read(f"{self._folder}/{name}")
        named = self._hashes.get(name)
        if named is not None and (data is None or encoding.sha256(data) != named):
            raise _ChangingError(name)
        if data is None:
            raise FileNotFoundError(name)
        return data


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="content")
