"""What the CDN has, path by path: claimed before it is touched, recorded after.

A claim makes the path unknown and names who is at it. A record counts only while the
claim still stands; where it does not, two were at the same object. The later claim is
left alone: its owner goes on, and the object is looked at again once nothing of the other
can be on the way any more. Where that one has recorded something else already, nobody can
say whose bytes arrived last: the path is unknown again, and uploaded again.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from django.db import connection, transaction

from core.upsert import upsert
from publishing.models import UploadedDocument

_LATE = timedelta(minutes=5)
"""By then a request sent by anybody has arrived or never will."""
_COLUMNS = (
    "target",
    "path",
    "sha256",
    "packed",
    "size",
    "edition",
    "claim",
    "recheck_at",
    "purge",
    "leaving_since",
)


class StateChangedError(Exception):
    """The releases, or the CDN, changed under this distributor: look again."""


class ClaimLostError(StateChangedError):
    """Another distributor has claimed what this one was at: leave it to that one."""


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
                raise StateChangedError(row.path)
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


def record(
    target: str,
    done: Mapping[str, tuple[str, int]],
    *,
    token: str,
    packed: bool = False,
) -> None:
    """Write down what was verified, path to hash and size.

    Args:
        packed: it is stored compressed.

    Raises:
        OvertakenError: another distributor is at some of these now; the rest is kept.
        MovedOnError: one was, and has recorded something else; those are unknown now.
    """
    lost, overtaken = [], []
    with transaction.atomic():
        rows = _locked(target, done)
        recorded = []
        for path in sorted(done):
            row = rows.get(path)
            sha256, size = done[path]
            if row is None:
                lost.append(path)
            elif row.claim == token:
                row.sha256, row.packed, row.size, row.claim = sha256, packed, size, ""
                recorded.append(row)
            elif row.claim:
                overtaken.append(path)
            elif (row.sha256, row.packed) != (sha256, packed):
                lost.append(path)
        _write(recorded)
        _write(_unknown(target, path, rows.get(path)) for path in lost)
    if overtaken:
        raise ClaimLostError(overtaken[0])
    if lost:
        raise StateChangedError(lost[0])


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
            if path not in gone and row.claim in ("", token)
        )


def mark_unknown(target: str, paths: Collection[str], *, token: str = "") -> None:
    """Believe nothing of these any more: they are uploaded again, or deleted.

    What a distributor has claimed is unknown already, and that one goes on with it.

    Args:
        token: of a distributor that gives up its own claims.
    """
    with transaction.atomic():
        rows = _locked(target, paths)
        _write(
            _unknown(target, path, rows.get(path))
            for path in sorted(paths)
            if path not in rows or rows[path].claim in ("", token)
        )


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
                row.packed,
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
