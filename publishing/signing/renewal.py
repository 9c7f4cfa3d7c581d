"""Signing published videos again before their signatures expire (DESIGN 4).

A signature is no content: only the lesson files that hold one due are rewritten, and
of them nothing but the signature; versions, topics and ``.prev`` files stay. The work
is level-triggered (``PublishedDocument.signed_until``) and may be done twice, or die
anywhere: what is not done stays due.
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

SIGNED_WITH = frozenset(
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
"""The publishing settings that make a signature what it is (`signed.signing`)."""
_BATCH = 200
"""Files rewritten under one hold of the switch lock."""


def renew_signatures(now: int) -> int:
    """Sign again, for a whole life, what has little more than half of its life left.

    Called every `settings.SIGNATURE_RENEW_SECONDS`: two calls may fail before half of a life
    has passed.

    Returns:
        How many files were rewritten.
    """
    current = PublishingSettings.get_solo()
    if not current.embed_signed_urls:
        return 0  # the next build takes them out
    signer = links.video_signer(current)
    started = time.monotonic()
    renewed = failed = 0
    rows = list(_due(now, signer))
    for batch in _batches(rows):
        made = dict(_made(batch, signer, expires=now + signer.lifetime))
        failed += len(batch) - len(made)
        if made:
            renewed += activation.resign_lessons(
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


def forget_signatures() -> None:
    """Sign everything again soon: the settings that signatures follow have changed."""
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


def _made(
    rows: Sequence[PublishedDocument], signer: VideoSigner, *, expires: int
) -> Iterator[tuple[str, bytes]]:
    """Each file with new signatures.

    One that is not what its record says is left for the health check; one whose video
    cannot be signed now keeps the signature it has.
    """
    for row in rows:
        try:
            data = file_store.read(row.path)
        except OSError:
            continue
        if data is None or encoding.sha256(data) != row.sha256:
            continue
        try:
            signed = signatures.renewed(
                data,
                expires=expires,
                sign=lambda source: signer.sign_where_it_lies(source, expires),
            )
        except MemoraError:  # the bucket's settings; every upload says it in words
            continue
        yield row.path, signed
