"""Record which bytes the CDN has, path by path.

A distributor claims a path before it changes the object and records the result
afterwards. A claim sets the path's state to unknown and holds the distributor's token.
A record counts only while the claim is unchanged; otherwise two distributors worked on
the same object:

- If the later claim is still open, it stays. Its owner continues, and the object is
  rechecked once no request of the earlier distributor can still be under way.
- If the later distributor has already recorded something else, the order in which the
  bytes arrived is unknown. The path becomes unknown and is uploaded again.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from django.db import connection, transaction

from core.upsert import upsert
from publishing.models import UploadedDocument

_RECHECK_DELAY = timedelta(minutes=5)
"""After this time, a request sent by any distributor has arrived or never will."""
_COLUMNS = (
    "target",
    "path",
    "sha256",
    "gzipped",
    "size",
    "switch_number",
    "claim",
    "recheck_at",
    "purge",
    "obsolete_since",
)


class StateChangedError(Exception):
    """The releases or the CDN changed during this run: compute the state again."""


class ClaimLostError(StateChangedError):
    """Another distributor has claimed a path of this run, and continues with it."""


def claim(
    target: str,
    paths: Collection[str],
    *,
    token: str,
    switch_number: int,
    now: datetime,
    deleting: bool = False,
) -> None:
    """Claim objects before changing them; their state is unknown until recorded.

    Args:
        switch_number: the number of the switch that the caller's data is based on.
        deleting: the objects are about to be deleted.

    Raises:
        StateChangedError: a path was claimed for a newer switch; nothing is claimed.
    """
    with transaction.atomic():
        rows = _locked(target, paths)
        for row in rows.values():
            if row.switch_number > switch_number:
                raise StateChangedError(row.path)
        _write(
            _claimed(
                rows.get(path) or UploadedDocument(target=target, path=path),
                token=token,
                switch_number=switch_number,
                now=now,
                deleting=deleting,
            )
            for path in paths
        )


def _claimed(
    row: UploadedDocument,
    *,
    token: str,
    switch_number: int,
    now: datetime,
    deleting: bool,
) -> UploadedDocument:
    if row.claim and row.claim != token:
        # The other distributor's request may arrive after ours.
        row.recheck_at = now + _RECHECK_DELAY
    row.purge = row.pk is not None
    row.sha256, row.size = "", 0
    row.claim, row.switch_number = token, switch_number
    row.obsolete_since = (row.obsolete_since or now) if deleting else None
    return row


def record(
    target: str,
    done: Mapping[str, tuple[str, int]],
    *,
    token: str,
    gzipped: bool = False,
) -> None:
    """Record verified objects: path to hash and size in bytes.

    Args:
        gzipped: the objects are stored compressed.

    Raises:
        ClaimLostError: another distributor has claimed some of them; the rest is saved.
        StateChangedError: another distributor had claimed some and recorded other
            content; those are unknown now.
    """
    changed, claim_lost = [], []
    with transaction.atomic():
        rows = _locked(target, done)
        recorded = []
        for path in sorted(done):
            row = rows.get(path)
            sha256, size = done[path]
            if row is None:
                changed.append(path)
            elif row.claim == token:
                row.sha256, row.gzipped, row.size, row.claim = sha256, gzipped, size, ""
                recorded.append(row)
            elif row.claim:
                claim_lost.append(path)
            elif (row.sha256, row.gzipped) != (sha256, gzipped):
                changed.append(path)
        _write(recorded)
        _write(_unknown(target, path, rows.get(path)) for path in changed)
    if claim_lost:
        raise ClaimLostError(claim_lost[0])
    if changed:
        raise StateChangedError(changed[0])


def remove_records(target: str, paths: Collection[str], *, token: str) -> None:
    """Remove the records of deleted objects.

    An object that another distributor's upload may still restore keeps its record, with
    an unknown state. It is deleted again until no such upload can be under way.
    """
    with transaction.atomic():
        rows = _locked(target, paths)
        deleted = {
            path: row.pk
            for path, row in rows.items()
            if row.claim == token and row.recheck_at is None
        }
        UploadedDocument.objects.filter(pk__in=deleted.values()).delete()
        _write(
            _unknown(target, path, row)
            for path, row in rows.items()
            if path not in deleted and row.claim in ("", token)
        )


def mark_unknown(target: str, paths: Collection[str], *, token: str = "") -> None:
    """Set the state of these paths to unknown: they are uploaded or deleted again.

    Paths claimed by a distributor are unknown already and stay claimed.

    Args:
        token: of a distributor that releases its own claims.
    """
    with transaction.atomic():
        rows = _locked(target, paths)
        _write(
            _unknown(target, path, rows.get(path))
            for path in sorted(paths)
            if path not in rows or rows[path].claim in ("", token)
        )


def to_purge(target: str, paths: Collection[str] | None = None) -> dict[str, str]:
    """Return the paths whose old bytes may be cached, with their present hash."""
    rows = UploadedDocument.objects.filter(target=target, purge=True, claim="")
    if paths is not None:
        rows = rows.filter(path__in=paths)
    return dict(rows.order_by("path").values_list("path", "sha256"))


def purged(target: str, paths: Mapping[str, str]) -> None:
    """Record that these paths were purged, unless they have changed since."""
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
                row.gzipped,
                row.size,
                row.switch_number,
                row.claim,
                adapt(row.recheck_at),
                row.purge,
                adapt(row.obsolete_since),
            )
            for row in rows
        ],
        key=("target", "path"),
    )
