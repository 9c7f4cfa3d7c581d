"""“Test connection”: check that the CDN in the settings supports publishing.

The test writes a probe file, reads it back, compares it, reads it through the public
URL and deletes it. It does the same in the private bucket, where the public must not be
able to read it. Every step describes what is wrong and contains no keys.

A user waits for the result: no request is repeated, the second bucket is not tried when
the first does not answer, and the test ends after ``CDN_TEST_SECONDS`` in any case.
"""

import contextvars
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, TimeoutError as NotInTime
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

import structlog
import urllib3
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import translation
from django.utils.translation import gettext as _, gettext_lazy, pgettext

from core.api_types import Field
from core.errors import MemoraError
from publishing.cdn import outbound, purging
from publishing.cdn.backends.base import CdnTimeoutError, Target
from publishing.cdn.backends.storage import Targets, targets_of
from publishing.content_urls import bucket_url, cdn_base_url
from publishing.format import encoding
from publishing.models import PublishingSettings

log = structlog.get_logger(__name__)

_PROBES = "memora-probe"
_MAX_ANSWER_BYTES = 64 * 1024
"""In bytes; a probe has about fifty."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step of the test, as the staff's API and the command answer it."""

    name: Annotated[str, Field(gettext_lazy("The name of the step."), "write")]
    ok: Annotated[bool, Field(gettext_lazy("Whether the step succeeded."), True)]
    message: Annotated[
        str, Field(gettext_lazy("The result as text."), "The probe was written.")
    ]


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """The result of a test, as the staff's API and the command answer it."""

    ok: Annotated[bool, Field(gettext_lazy("Whether all steps succeeded."), True)]
    steps: Annotated[
        list[StepResult],
        Field(
            gettext_lazy(
                "The steps in order; the test stops when further ones make no sense."
            )
        ),
    ]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the test; ``message`` is the result as text."""

    name: str
    ok: bool
    message: str
    is_silence: bool = False
    """The server did not answer."""


@dataclass(frozen=True, slots=True)
class Result:
    """All steps in order; the test stops when further steps make no sense."""

    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        return all(step.ok for step in self.steps)

    def report(self) -> ConnectionTest:
        """Return the part of the result that people and programs need."""
        steps = [StepResult(step.name, step.ok, step.message) for step in self.steps]
        return ConnectionTest(self.ok, steps)


def check(current: PublishingSettings | None = None) -> Result:
    """Run all steps, within ``CDN_TEST_SECONDS``.

    Args:
        current: the settings to test, saved or not; None: the stored ones.
    """
    result = Result(tuple(_in_time(current or PublishingSettings.get_solo())))
    failed = [step.name for step in result.steps if not step.ok]
    log.info("cdn_connection_tested", ok=result.ok, failed=failed)
    return result


_TESTED = frozenset(
    field.attname
    for field in PublishingSettings._meta.concrete_fields
    if field.attname.startswith(("cdn_", "cloudflare_"))
)


def needs_test(before: PublishingSettings, after: PublishingSettings) -> bool:
    """Whether ``after`` changes how students or uploads reach the CDN.

    Turning the CDN off, or local fallback mode on, needs no test: both must work while
    the CDN does not answer.
    """
    if not after.cdn_enabled:
        return False
    if before.local_fallback_mode and not after.local_fallback_mode:
        return True
    return any(getattr(before, name) != getattr(after, name) for name in _TESTED)


def _in_time(current: PublishingSettings) -> list[Step]:
    """Return the steps; on a timeout, the finished ones and one that reports it.

    A socket timeout does not end a response that sends a byte now and then. So the
    steps run in a thread that is abandoned on a timeout. The thread does not use the
    database, and still deletes its probe.
    """
    steps: list[Step] = []
    done = Future[None]()

    language = translation.get_language()

    def work() -> None:
        try:
            with translation.override(language):
                for step in _steps(current):
                    steps.append(step)  # noqa: PERF402 - read while it grows
        except Exception as error:  # noqa: BLE001 - raised again by `done.result`
            done.set_exception(error)
        else:
            done.set_result(None)

    # The copied context carries the log fields of this request.
    run = contextvars.copy_context().run
    threading.Thread(target=run, args=(work,), name="cdn-test", daemon=True).start()
    try:
        done.result(timeout=settings.CDN_TEST_SECONDS)
    except NotInTime:
        message = _(
            "The server answers too slowly: the test stopped after %(seconds)d s."
        )
        late = Step(
            _("time"),
            ok=False,
            message=message % {"seconds": settings.CDN_TEST_SECONDS},
        )
        return [*steps, late]
    return steps


def _steps(current: PublishingSettings) -> Iterator[Step]:
    # The context "bucket" is needed: elsewhere these words are access levels.
    public, private = pgettext("bucket", "public"), pgettext("bucket", "private")
    path, data = _probe()
    targets, settings_step = _targets(current)
    yield settings_step
    if targets is None:
        return
    steps = [*_try_target(public, targets.public, path, data)]
    yield from steps
    if all(step.ok for step in steps):
        yield _attempt(
            _("read through the CDN base URL"),
            lambda: _read_publicly(current, path, data),
        )
    yield from _remove(public, targets.public, path, steps)
    is_silent = any(step.is_silence for step in steps)
    if targets.private is not None and not is_silent:
        # Use another probe: a cache may still serve the first one.
        path, data = _probe()
        steps = [*_try_target(private, targets.private, path, data)]
        yield from steps
        if all(step.ok for step in steps):
            yield _attempt(
                _("private bucket is private"),
                lambda: _is_hidden(current, path, data),
            )
        yield from _remove(private, targets.private, path, steps)
    if current.cloudflare_zone:
        yield _attempt(
            _("purge from Cloudflare's cache"),
            lambda: _purge(current, path),
        )


def _probe() -> tuple[str, bytes]:
    """Return a random path and random content."""
    data = f'{{"probe":"{secrets.token_hex(16)}"}}'.encode()
    return f"{_PROBES}/{secrets.token_hex(8)}.json", data


def _targets(current: PublishingSettings) -> tuple[Targets | None, Step]:
    name = _("settings")
    try:
        current.clean()
    except ValidationError as error:
        return None, Step(name, ok=False, message=" ".join(error.messages))
    try:
        targets = targets_of(current, interactive=True)
    except MemoraError as error:
        return None, Step(name, ok=False, message=error.message)
    return targets, Step(name, ok=True, message=_("complete"))


def _attempt(name: str, work: Callable[[], str]) -> Step:
    """Run ``work``, which returns a description of the fault, or ""."""
    try:
        fault = work()
    except MemoraError as error:
        silent = isinstance(error, CdnTimeoutError)
        return Step(name, ok=False, message=error.message, is_silence=silent)
    return Step(name, ok=not fault, message=fault or _("works"))


def _try_target(place: str, target: Target, path: str, data: bytes) -> Iterator[Step]:
    def write() -> str:
        target.put(path, data, sha256=encoding.sha256(data))
        return ""

    def compare() -> str:
        if target.has(path, data, sha256=encoding.sha256(data)):
            return (
                "" if target.read(path) == data else _("The stored data is different.")
            )
        return _(
            "The service confirmed that it stored the probe, but the stored data is "
            "different."
        )

    def list_probes() -> str:
        found = target.list(f"{_PROBES}/")
        return (
            ""
            if path in found
            else _("The list does not contain the probe that was just stored.")
        )

    for name, work in (
        (_("%(place)s bucket: write"), write),
        (_("%(place)s bucket: read back and compare"), compare),
        (_("%(place)s bucket: list"), list_probes),
    ):
        step = _attempt(name % {"place": place}, work)
        yield step
        if not step.ok:
            return


def _remove(place: str, target: Target, path: str, steps: list[Step]) -> Iterator[Step]:
    """Delete the probe, unless writing it failed."""
    if not steps[0].ok:
        return

    def delete() -> str:
        target.delete([path])
        return (
            ""
            if target.read(path) is None
            else _("The probe still exists after the deletion.")
        )

    yield _attempt(_("%(place)s bucket: delete") % {"place": place}, delete)


def _read_publicly(current: PublishingSettings, path: str, data: bytes) -> str:
    status, body, headers = _fetch(cdn_base_url(current) + path)
    kind = headers.get("Content-Type", "")
    if not status:
        return _(
            "%(url)s does not answer; a server without a public address and https "
            "must be named in MEMORA_PRIVATE_HOSTS."
        ) % {"url": cdn_base_url(current)}
    if status != HTTPStatus.OK:
        return _(
            "%(url)s answered HTTP %(status)s. Does this address lead to the public "
            "bucket, and may anyone read it?"
        ) % {"url": cdn_base_url(current) + path, "status": status}
    if body != data:
        return _("The base URL does not lead to the public bucket.")
    if not kind.startswith("application/json"):
        return _("Files arrive as “%(kind)s” instead of JSON.") % {"kind": kind}
    if current.cloudflare_zone and headers.get("CF-Cache-Status") == "DYNAMIC":
        return _(
            "Cloudflare does not cache files: every request reaches the bucket. A "
            "cache rule for this address is missing (docs/runbooks/cdn-setup.md)."
        )
    return ""


def _is_hidden(current: PublishingSettings, path: str, data: bytes) -> str:
    own = f"{bucket_url(current, current.cdn_private_bucket)}/"
    for address in (cdn_base_url(current), own):
        _status, body, _headers = _fetch(address + path)
        if body == data:
            return _(
                "Anyone can read the private bucket at %(url)s. Gated lessons would be "
                "open to all."
            ) % {"url": address}
    return ""


def _fetch(url: str) -> tuple[int, bytes, Mapping[str, str]]:
    """Return status, body and headers as a student's app gets them; 0: no answer."""
    # A new query each time, so that no cache answers instead of the bucket.
    address = f"{url}?probe={secrets.token_hex(4)}"
    client = outbound.Client(connect=5, read=10, most=_MAX_ANSWER_BYTES, seconds=10)
    try:
        return client.request("GET", address)
    except urllib3.exceptions.HTTPError:
        return 0, b"", {}


def _purge(current: PublishingSettings, path: str) -> str:
    purging.purger_of(current).purge([cdn_base_url(current) + path])
    return ""
