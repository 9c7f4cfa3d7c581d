"""An import of students: its preview, its confirmation and its run.

A file may contain passwords. It is stored encrypted (Fernet); the key is only in the
form of the preview and in the message of the task, and the file is deleted when the run
ends, or after a day (`players.services.retention`).
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import structlog
from cryptography.fernet import Fernet, InvalidToken
from django.db import IntegrityError, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from content import products
from core.batches import batches
from core.errors import MemoraError
from players import audit
from players.models import ImportStatus, StudentImport
from players.services import student_import, student_sheet
from players.services.student_import import (
    CREATED,
    REFUSED,
    Outcome,
)
from players.services.student_sheet import Row

log = structlog.get_logger(__name__)

BATCH = 250
"""Rows of one transaction: about a second, so that the page shows the progress."""
SILENT_AFTER = timedelta(minutes=3)
"""A run without progress for this time has stopped with its worker."""


class ImportExpiredError(MemoraError):
    """The import is not known, was confirmed before, or the key does not fit."""

    code = "UPLOAD_GONE"


@dataclass(frozen=True, slots=True)
class Preview:
    """What an import would do; ``key`` decrypts its file and is not stored."""

    run: StudentImport
    key: str
    outcomes: list[Outcome]
    counts: Counter[str]
    new_groups: list[str]
    new_products: list[str]
    ignored: list[str]


def preview(data: bytes, name: str, *, owner_id: int) -> Preview:
    """Store a file for confirmation, and return what each of its rows would do.

    Raises:
        SheetError: the file cannot be read.
    """
    sheet = student_sheet.read(data, name)
    outcomes = [
        outcome for some in batches(sheet.rows, BATCH) for outcome in _examined(some)
    ]
    key = Fernet.generate_key()
    suffix = name.rpartition(".")[2].lower()
    run = StudentImport.objects.create(
        owner_id=owner_id,
        data=Fernet(key).encrypt(suffix.encode() + b"\n" + data),
        digests=[outcome.digest for outcome in outcomes],
        total=len(outcomes),
    )
    return Preview(
        run=run,
        key=key.decode(),
        outcomes=outcomes,
        counts=Counter(outcome.kind for outcome in outcomes),
        new_groups=student_import.new_groups(outcomes),
        new_products=products.unknown(
            item
            for one in outcomes
            if one.kind != student_import.REFUSED
            for item in one.products
        ),
        ignored=sheet.ignored,
    )


def _examined(rows: Sequence[Row]) -> list[Outcome]:
    with transaction.atomic():
        return student_import.examine(rows)


def confirm(import_id: int, *, key: str, owner_id: int) -> None:
    """Claim the run of an import; the caller then starts the task.

    Raises:
        ImportExpiredError: the import is not there for this user and key, or has been
            confirmed before.
    """
    waiting = StudentImport.objects.filter(
        pk=import_id, owner_id=owner_id, status=ImportStatus.PREVIEW
    )
    run = waiting.first()
    if run is None or _decrypted(run, key) is None:
        raise _expired()
    now = timezone.now()
    if not waiting.update(status=ImportStatus.WAITING, progress_at=now):
        raise _expired()


def take_back(import_id: int) -> None:
    """Undo `confirm`, because the task could not be started."""
    StudentImport.objects.filter(pk=import_id, status=ImportStatus.WAITING).update(
        status=ImportStatus.PREVIEW
    )


def _expired() -> ImportExpiredError:
    return ImportExpiredError(
        _("The import was started before or has expired. Upload the file again.")
    )


def _decrypted(run: StudentImport, key: str) -> tuple[bytes, str] | None:
    """Return the file and a name with its suffix; None if the key does not fit."""
    try:
        plain = Fernet(key).decrypt(bytes(run.data))
    except (InvalidToken, ValueError):
        return None
    suffix, _break, data = plain.partition(b"\n")
    return data, f"students.{suffix.decode()}"


def has_stopped(run: StudentImport) -> bool:
    """Return whether a running import has made no progress for three minutes."""
    is_running = run.status == ImportStatus.RUNNING
    return is_running and timezone.now() - run.progress_at > SILENT_AFTER


def run(import_id: int, *, key: str, language: str) -> None:
    """Do what the preview showed, in batches of 250 rows.

    A row whose outcome has changed since the preview is refused. A batch is one
    transaction; a run that stops leaves whole batches. The same file can then be
    imported again: what was done is unchanged.
    """
    waiting = StudentImport.objects.filter(pk=import_id, status=ImportStatus.WAITING)
    if not waiting.update(status=ImportStatus.RUNNING, progress_at=timezone.now()):
        return
    found = StudentImport.objects.get(pk=import_id)
    try:
        with translation.override(language), audit.acting_as(found.owner_id):
            _run(found, key)
    except Exception as error:
        log.error("student_import_failed", error=type(error).__name__)
        _finish(found, ImportStatus.FAILED)
        raise
    _finish(found, ImportStatus.FINISHED)


def _finish(found: StudentImport, status: ImportStatus) -> None:
    found.status, found.data, found.digests = status, b"", []
    found.save(update_fields=["status", "data", "digests"])


def _run(found: StudentImport, key: str) -> None:
    plain = _decrypted(found, key)
    if plain is None:
        raise _expired()
    rows = student_sheet.read(*plain).rows
    shown = dict(zip((row.number for row in rows), found.digests, strict=True))
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        # First all hashes are started, so that every core is busy until the last one.
        hashes: dict[int, Future[str]] = {}
        for some in batches(rows, BATCH):
            new = {one.row for one in _examined(some) if one.kind == CREATED}
            hashes |= student_import.start_hashing(
                [row for row in some if row.number in new], pool
            )
        for some in batches(rows, BATCH):
            # Outside of the transaction: no lock is held while hashes are made.
            hashed = {
                row.number: hashes.pop(row.number).result()
                for row in some
                if row.number in hashes
            }
            for outcome in _batch(some, shown, hashed):
                _count(found, outcome)
            found.progress_at = timezone.now()
            found.save(
                update_fields=[
                    *("created", "updated", "unchanged", "refused", "refused_rows"),
                    *("created_ids", "progress_at"),
                ]
            )
    finally:
        pool.shutdown(cancel_futures=True)


def _batch(
    rows: Sequence[Row], shown: dict[int, str], hashed: dict[int, str]
) -> Iterator[Outcome]:
    """Import a batch in one transaction, or row by row if two rows collide."""
    try:
        yield from _apply(rows, shown, hashed)
        return
    except IntegrityError:
        log.info("student_import_collision", rows=len(rows))
    for row in rows:
        try:
            yield from _apply([row], shown, hashed)
        except IntegrityError:
            yield _refused(row.number)


@transaction.atomic
def _apply(
    rows: Sequence[Row], shown: dict[int, str], hashed: dict[int, str]
) -> list[Outcome]:
    outcomes = [
        outcome
        if outcome.digest == shown[outcome.row]
        and not (_is_new_with_password(outcome) and outcome.row not in hashed)
        else _refused(outcome.row)
        for outcome in student_import.examine(rows)
    ]
    student_import.apply(outcomes, hashed)
    return outcomes


def _is_new_with_password(outcome: Outcome) -> bool:
    return outcome.kind == CREATED and bool(outcome.password)


def _refused(row: int) -> Outcome:
    said = _("The student has changed since the preview. Upload the file again.")
    return Outcome(row, kind=REFUSED, faults=[("", said)])


def _count(found: StudentImport, outcome: Outcome) -> None:
    match outcome.kind:
        case student_import.CREATED:
            found.created += 1
            found.created_ids.append(student_import.player_id_of(outcome))
        case student_import.UPDATED:
            found.updated += 1
        case student_import.UNCHANGED:
            found.unchanged += 1
        case _:
            found.refused_rows += 1
    found.refused += [
        [outcome.row, student_sheet.label(column), reason]
        for column, reason in outcome.faults
    ]
