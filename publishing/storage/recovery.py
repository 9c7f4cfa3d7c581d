"""Update the tables from the files on disk after an incomplete switch.

A build that stops after its files are in place and before its commit leaves a release,
or only some lessons, that readers see and the tables do not record. When the number of
switches on disk is ahead of the tables'
(`publishing.storage.activation.has_incomplete_switch`), `recover` must run before
anything else: a build would compare with files that are no longer there, and a clean-up
could delete a lesson that the unrecorded release needs.

The same is needed after the database was restored from a backup or the disk was lost.
"""

import structlog
from django.db import transaction

from publishing import staleness
from publishing.format import encoding, locations, signatures
from publishing.models import Publication, PublishedDocument, ReleaseCounters
from publishing.storage import activation, file_store
from publishing.storage.link_check import ReleaseContents, fingerprint_of, read_release

log = structlog.get_logger(__name__)


def recover_if_incomplete() -> None:
    """Call `recover` if the numbers of switches differ. One query."""
    rows = ReleaseCounters.objects.filter(pk=ReleaseCounters.ROW)
    counted = rows.values_list("switches", flat=True).first() or 0
    if counted != file_store.switches():
        recover()


def recover() -> None:
    """Set the tables to what readers see; do nothing when no switch is incomplete.

    Waits for a switch in progress. Afterwards every plan whose current release differs
    from the recorded one is pending, and builds in progress read a new snapshot.
    """
    with transaction.atomic():
        counters = activation.take_switch_lock()
        if not activation.has_incomplete_switch(counters):
            return
        plans = [
            publication.plan_public_id
            for publication in Publication.objects.select_for_update().order_by("pk")
            if _recover_plan(publication)
        ]
        lessons = _recover_lessons()
        counters.switches = max(counters.switches, file_store.switches())
        counters.removals += 1
        counters.save(update_fields=["removals"])
        activation.begin_switch(counters)
    activation.reconcile_open_lessons_quietly()
    log.warning("torn_release_mended", plans=plans, lessons=lessons)


def _recover_plan(publication: Publication) -> bool:
    """Record a plan's current release; return whether it differed from the tables.

    When the release cannot be read from disk, the plan is marked for a full build.
    """
    try:
        number = file_store.current_generation(publication.plan_public_id)
    except OSError:
        log.exception("release_not_known", plan=publication.plan_public_id)
        publication.needs_full_build_since, publication.built_from = (
            publication.build_number,
            {},
        )
        publication.save(update_fields=["needs_full_build_since", "built_from"])
        return True
    if number == publication.generation:
        return False
    if number is not None:
        closure = read_release(publication.plan_public_id, number)
        record_files(publication, closure)
        flipped = activation.record_plan_lessons(
            publication,
            {lesson.id: lesson.is_open for lesson in closure.lessons.values()},
        )
        staleness.mark_plans_for_rebuild(flipped, besides=publication)
        publication.generation = number
    publication.built_from = {}
    publication.save(update_fields=["generation", "built_from"])
    return True


def record_files(publication: Publication, closure: ReleaseContents) -> tuple[int, int]:
    """Set the tables to a generation's files.

    Returns:
        How many files differ from the previous release, and how many of its files are
        gone.
    """
    rows = {row.path: row for row in publication.documents.all()}
    changed = []
    for path, file in closure.files.items():
        row = rows.get(path)
        if row is not None and row.sha256 == file.sha256:
            continue
        highest = max(row.version if row else 0, file.version)
        changed.append(
            PublishedDocument(
                path=path,
                publication=publication,
                # The next build must not keep a version that was already exceeded.
                fingerprint="" if highest > file.version else file.fingerprint,
                version=highest,
                sha256=file.sha256,
                size=file.size,
            )
        )
    missing = rows.keys() - closure.files.keys()
    replaced = missing | {row.path for row in changed}
    PublishedDocument.objects.filter(path__in=replaced).delete()
    PublishedDocument.objects.bulk_create(changed, batch_size=500)
    return len(changed), len(missing)


def _recover_lessons() -> int:
    """Record every lesson file that differs from its record; return how many."""
    rows = PublishedDocument.objects.filter(lesson_id__gt="")
    known = {row.path: row for row in rows}
    wrong = []
    for path in sorted(file_store.lesson_files()):
        try:
            data, row = file_store.read(path), known.get(path)
        except OSError:
            continue  # the health check reports it
        if data is None or (row and row.sha256 == encoding.sha256(data)):
            continue
        version = encoding.version_of(data)
        highest = max(version, row.version if row else 0)
        wrong.append(
            activation.DocumentRow(
                path=path,
                lesson_id=locations.lesson_id_of(path) or "",
                publication_id=None,
                fingerprint=(
                    "" if highest > version else fingerprint_of(signatures.remove(data))
                ),
                version=highest,
                sha256=encoding.sha256(data),
                size=len(data),
                signed_until=signatures.signed_until(data),
            )
        )
    activation.upsert_documents(wrong)
    return len(wrong)
