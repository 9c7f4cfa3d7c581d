"""Sign published videos again before their signatures expire.

A signature is not content: only lesson files with an expiring signature are rewritten,
and in them only the signature; versions, topics and ``.prev`` files stay. The work is
level-triggered (``PublishedDocument.signed_until``). It may run twice or stop at any
point: what is not done stays due.
"""

import time
from collections.abc import Iterator, Sequence
from uuid import uuid4

import structlog
from django.conf import settings
from django.db.models import QuerySet

from core.errors import MemoraError
from publishing.format import encoding, signatures
from publishing.models import PublishedDocument, PublishingSettings
from publishing.signing import links
from publishing.signing.links import VideoSigner
from publishing.storage import activation, file_store

log = structlog.get_logger(__name__)

SIGNATURE_SETTINGS = frozenset(
    {
        "local_domain",
        "signed_url_hours",
        "cdn_endpoint",
        "cdn_region",
        "cdn_path_style",
        "cdn_private_bucket",
        "cdn_access_key",
        "cdn_secret_key",
    }
)
"""The publishing settings on which signatures depend (`publishing.signing.links`)."""
_BATCH = 200
"""Number of files rewritten each time the switch lock is held."""


def renew_signatures(now: int) -> int:
    """Renew signatures that have little more than half of their lifetime left.

    Called every `settings.SIGNATURE_RENEW_SECONDS`: two calls may fail before half of
    the lifetime has passed.

    Args:
        now: Unix time.

    Returns:
        The number of files rewritten.
    """
    current = PublishingSettings.get_solo()
    if not current.embed_signed_urls:
        return 0  # the next build removes the signatures
    signer = links.video_signer(current)
    started = time.monotonic()
    renewed = failed = 0
    rows = list(_due(now, signer))
    for batch in _batches(rows):
        made = dict(_renewed(batch, signer, expires=now + signer.lifetime))
        failed += len(batch) - len(made)
        if made:
            renewed += activation.replace_signatures(
                made,
                {row.path: row for row in batch},
                signed_until=now + signer.lifetime,
                token=f"resigned.{uuid4().hex}",
            )
    if rows:
        log.info(
            "signatures_renewed",
            due=len(rows),
            renewed=renewed,
            left=failed,
            seconds=round(time.monotonic() - started, 3),
        )
    return renewed


def expire_signatures() -> None:
    """Mark all signatures as due, after a change of settings that they depend on."""
    _signed().update(signed_until=0)


def _signed() -> QuerySet[PublishedDocument]:
    return PublishedDocument.objects.filter(lesson_id__gt="", signed_until__gte=0)


def _due(now: int, signer: VideoSigner) -> QuerySet[PublishedDocument]:
    soon = now + signer.lifetime // 2 + 2 * settings.SIGNATURE_RENEW_SECONDS
    return _signed().filter(signed_until__lte=soon).order_by("signed_until", "pk")


def _batches(
    rows: Sequence[PublishedDocument],
) -> Iterator[Sequence[PublishedDocument]]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]


def _renewed(
    rows: Sequence[PublishedDocument], signer: VideoSigner, *, expires: int
) -> Iterator[tuple[str, bytes]]:
    """Yield the path and new bytes of each file with renewed signatures.

    A file that differs from its record is left to the health check. A file whose video
    cannot be signed now keeps its signature.
    """
    for row in rows:
        try:
            data = file_store.read(row.path)
        except OSError:
            continue
        if data is None or encoding.sha256(data) != row.sha256:
            continue
        try:
            signed = signatures.renew(
                data,
                expires=expires,
                sign=lambda source: signer.sign_where_it_lies(source, expires),
            )
        except MemoraError:  # invalid bucket settings; every upload reports them
            continue
        yield row.path, signed
