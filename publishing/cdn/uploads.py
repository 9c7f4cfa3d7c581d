"""What the CDN has, path by path: claimed before it is touched, recorded after.

A claim makes the path unknown and names who is at it. A record counts only while the
claim still stands; where it does not, two were at the same object and nobody can say
whose bytes arrived last: the path is unknown again, and uploaded again.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from django.db import connection, transaction

from content.upsert import upsert
from publishing.models import UploadedDocument

_LATE = timedelta(minutes=5)
"""By then a request sent by anybody has arrived or never will."""
_COLUMNS = (
    "target",
    "path",
    "sha256",
    "size",
    "edition",
    "claim",
    "recheck_at",
    "purge",
    "leaving_since",
)


class MovedOnError(Exception):
    """The releases, or the CDN, changed under this distributor: look again."""


def claim(
    target: str,
    paths: Collection[str],
    *,
    token: str,
    edition: int,
    now: datetime,
    leaving: bool = False,
) -> None:
    """Say that these objects are about to change; until recorded they are unknown.

    Args:
        edition: of the releases this is about.
        leaving: they are about to be deleted.

    Raises:
        MovedOnError: somebody touched one for a newer edition; nothing is claimed.
    """
    with transaction.atomic():
        rows = _locked(target, paths)
        for row in rows.values():
            if row.edition > edition:
                raise MovedOnError(row.path)
        _write(
            _claimed(
                rows.get(path) or UploadedDocument(target=target, path=path),
                token=token,
                edition=edition,
                now=now,
                leaving=leaving,
            )
            for path in paths
        )


def _claimed(
    row: UploadedDocument, *, token: str, edition: int, now: datetime, leaving: bool
) -> UploadedDocument:
    if row.claim and row.claim != token:
        # Its request may still be on the way, and arrive after ours.
        row.recheck_at = now + _LATE
    row.purge = row.pk is not None
    row.sha256, row.size = "", 0
    row.claim, row.edition = token, edition
    row.leaving_since = (row.leaving_since or now) if leaving else None
    return row


def record(target: str, done: Mapping[str, tuple[str, int]], *, token: str) -> set[str]:
    """Write down what was verified, path to hash and size.

    Returns:
        Those somebody else was at, too; they are unknown now.
    """
    with transaction.atomic():
        rows = _locked(target, done)
        mine = [row for row in rows.values() if row.claim == token]
        for row in mine:
            row.sha256, row.size = done[row.path]
            row.claim = ""
        _write(mine)
        lost = set(done) - {row.path for row in mine}
        _write(_unknown(target, path, rows.get(path)) for path in sorted(lost))
    return lost


def forget(target: str, paths: Collection[str], *, token: str) -> None:
    """Write down that these objects are gone.

    Not of one that an upload of somebody else may still put back: it stays unknown, and
    is deleted again until no such upload can be on the way any more.
    """
    with transaction.atomic():
        rows = _locked(target, paths)
        gone = {
            path: row.pk
            for path, row in rows.items()
            if row.claim == token and row.recheck_at is None
        }
        UploadedDocument.objects.filter(pk__in=gone.values()).delete()
        _write(
            _unknown(target, path, row)
            for path, row in rows.items()
            if path not in gone
        )


def doubt(target: str, paths: Collection[str]) -> None:
    """Believe nothing of these any more: they are uploaded again, or deleted."""
    with transaction.atomic():
        rows = _locked(target, paths)
        _write(_unknown(target, path, rows.get(path)) for path in sorted(paths))


def to_purge(target: str, paths: Collection[str] | None = None) -> dict[str, str]:
    """The paths whose old bytes a cache may have, with the hash they have now."""
    rows = UploadedDocument.objects.filter(target=target, purge=True, claim="")
    if paths is not None:
        rows = rows.filter(path__in=paths)
    return dict(rows.order_by("path").values_list("path", "sha256"))


def purged(target: str, paths: Mapping[str, str]) -> None:
    """The cache has forgotten these; not those that changed again meanwhile."""
    with transaction.atomic():
        rows = _locked(target, paths)
        same = [
            row.pk
            for row in rows.values()
            if not row.claim and row.sha256 == paths[row.path]
        ]
        UploadedDocument.objects.filter(pk__in=same).update(purge=False)


def _unknown(target: str, path: str, row: UploadedDocument | None) -> UploadedDocument:
    row = row or UploadedDocument(target=target, path=path)
    row.sha256, row.size, row.claim, row.purge = "", 0, "", True
    return row


def _locked(target: str, paths: Iterable[str]) -> dict[str, UploadedDocument]:
    rows = UploadedDocument.objects.select_for_update().order_by("path")
    return {row.path: row for row in rows.filter(target=target, path__in=list(paths))}


def _write(rows: Iterable[UploadedDocument]) -> None:
    adapt = connection.ops.adapt_datetimefield_value
    upsert(
        UploadedDocument,
        _COLUMNS,
        [
            (
                row.target,
                row.path,
                row.sha256,
                row.size,
                row.edition,
                row.claim,
                adapt(row.recheck_at),
                row.purge,
                adapt(row.leaving_since),
            )
            for row in rows
        ],
        key=("target", "path"),
    )
