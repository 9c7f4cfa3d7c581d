"""The registrar's tasks. Each may run any number of times, in several workers at once."""

from collections.abc import Iterable, Mapping

import structlog
from celery import shared_task
from django.utils import timezone

from players.errors import StoreAwayError
from registrar import (
    accounts,
    breakers,
    btec_templates,
    configuration,
    drift,
    enqueuing,
    reconciling,
    sources,
    upkeep,
)
from registrar.effects import handlers
from registrar.grades import polling
from registrar.inbox import processing, retention
from registrar.mapping.modules import MAPPINGS
from registrar.mirror import forgetting
from registrar.models import Template
from registrar.outbox import adding, retention as outbox_retention, running
from registrar.peers.errors import PeerError
from registrar.player_access import applying, differences

log = structlog.get_logger(__name__)

_MAX_ROUNDS = 50
"""Batches of one run: the next run of the periodic task goes on."""
_MAX_NEW_EFFECTS = 500
"""Effects that one run adds for rows that Moodle lacks."""


@shared_task(name="registrar.tasks.process_inbox", ignore_result=True)
def process_inbox() -> None:
    """Process all due hints. After a delivery, and every 15 seconds."""
    enqueuing.has_begun(process_inbox)
    source = sources.current()
    if source is None:
        return
    for _round in range(_MAX_ROUNDS):
        found = processing.process(source=source)
        _follow(found)
        if not found.tried:
            return


@shared_task(name="registrar.tasks.send_effects", ignore_result=True)
def send_effects() -> None:
    """Add effects for rows that Moodle lacks, and do all due effects. Every 15 seconds."""
    found = handlers.current()
    if found is None:
        return
    adding.add_all_due(most=_MAX_NEW_EFFECTS, modules=handlers.modules())
    adding.add_grades_due(most=_MAX_NEW_EFFECTS)
    _run(found)


@shared_task(name="registrar.tasks.run_effects", ignore_result=True)
def run_effects() -> None:
    """Do all due effects. After some were added."""
    enqueuing.has_begun(run_effects)
    found = handlers.current()
    if found is not None:
        _run(found)


def _run(found: Mapping[str, running.Handler]) -> None:
    for _round in range(_MAX_ROUNDS):
        if not running.run(handlers=found).tried:
            return


@shared_task(name="registrar.tasks.poll_grades", ignore_result=True)
def poll_grades() -> None:
    """Store the grades that have changed in Moodle. Every five minutes."""
    site = handlers.site()
    if site is None or not breakers.may_try("moodle", now=timezone.now()):
        return
    try:
        count = polling.poll(site.moodle)
    except PeerError as error:
        breakers.record_failure("moodle", error, now=timezone.now())
        log.warning(
            "registrar_grades_failed", error=type(error).__name__, reason=error.reason
        )
        return
    breakers.record_success("moodle")
    if count:
        log.info("registrar_grades_read", students=count)


@shared_task(name="registrar.tasks.read_changes", ignore_result=True)
def read_changes() -> None:
    """Apply what Zoho has changed or deleted unannounced. Every 15 minutes."""
    source = sources.current()
    if source is None:
        return
    for module in _active_modules():
        if not breakers.may_try("zoho", now=timezone.now()):
            return
        try:
            _send(reconciling.apply_changes(source=source, module=module))
            _send(reconciling.apply_deletions(source=source, module=module))
        except PeerError as error:
            breakers.record_failure("zoho", error, now=timezone.now())
            log.warning(
                "registrar_read_failed", module=module, error=type(error).__name__
            )


@shared_task(name="registrar.tasks.reconcile", ignore_result=True)
def reconcile() -> None:
    """Compare every record with Zoho and repair the mirror. Every night.

    A module with too many changes is left alone: the log says so, and
    ``manage.py reconcile_registrar`` shows them.
    """
    source = sources.current()
    if source is None:
        return
    for module in _active_modules():
        try:
            report = reconciling.reconcile_module(
                source=source, module=module, apply=True
            )
        except PeerError as error:
            breakers.record_failure("zoho", error, now=timezone.now())
            log.warning(
                "registrar_reconcile_failed", module=module, error=type(error).__name__
            )
            continue
        _send(report.applied)
        log.info(
            "registrar_reconciled",
            module=module,
            read=report.read,
            new=len(report.new),
            changed=report.changed_rows,
            gone=len(report.gone),
            stopped=report.stopped,
        )


@shared_task(name="registrar.tasks.repair_moodle", ignore_result=True)
def repair_moodle() -> None:
    """Compare Moodle with the mirror, and do again what it has lost. Every night."""
    site = handlers.site()
    if site is None:
        return
    try:
        found = drift.find(site)
    except PeerError as error:
        breakers.record_failure("moodle", error, now=timezone.now())
        log.warning("registrar_drift_failed", error=type(error).__name__)
        return
    log.info("registrar_drift_repaired", rows=len(drift.repair(found)))


@shared_task(name="registrar.tasks.find_accounts", ignore_result=True)
def find_accounts() -> None:
    """Have accounts linked that were created in Moodle itself. Every five minutes."""
    site = handlers.site()
    if site is None or not breakers.may_try("moodle", now=timezone.now()):
        return
    try:
        found = accounts.find(site, now=timezone.now())
    except PeerError as error:
        breakers.record_failure("moodle", error, now=timezone.now())
        log.warning("registrar_accounts_failed", error=type(error).__name__)
        return
    if found.linking:
        enqueuing.enqueue(run_effects)


@shared_task(name="registrar.tasks.follow_registrations", ignore_result=True)
def follow_registrations() -> None:
    """Give players what their registrations give, and end what they end. Every 5 min."""
    units = differences.find()
    try:
        report = applying.apply(units)
    except StoreAwayError:
        log.warning("registrar_access_store_away")
        return
    if not units:
        return
    log.info(
        "registrar_access_followed",
        created=len(report.created),
        given=report.given,
        ended=report.ended,
        refused=len(report.refused),
        stopped=report.stopped,
    )


@shared_task(name="registrar.tasks.prune_inbox", ignore_result=True)
def prune_inbox() -> None:
    """Delete old deliveries. Every hour."""
    retention.prune()


@shared_task(name="registrar.tasks.prune_outbox", ignore_result=True)
def prune_outbox() -> None:
    """Delete old effects. Every hour."""
    outbox_retention.prune(now=timezone.now())


@shared_task(name="registrar.tasks.erase_deleted_students", ignore_result=True)
def erase_deleted_students() -> None:
    """Erase the personal data of students whom Zoho deleted long ago. Every hour."""
    count = forgetting.erase_deleted(now=timezone.now())
    if count:
        log.info("registrar_students_erased", students=count)


@shared_task(name="registrar.tasks.check_zoho", ignore_result=True)
def check_zoho() -> None:
    """Check the CRM's fields and renew its channel of notifications. Twice a day."""
    client = sources.zoho_client()
    if client is None:
        return
    for check in (upkeep.keep_channel, upkeep.check_names):
        try:
            check(client, now=timezone.now())
        except PeerError as error:
            breakers.record_failure("zoho", error, now=timezone.now())
            log.warning(
                "registrar_upkeep_failed",
                check=check.__name__,
                error=type(error).__name__,
                reason=error.reason,
            )


def _follow(found: processing.Processed) -> None:
    """Start the effects of what was read. Reading all units synchronises the templates."""
    if btec_templates.MODULE in found.listed:
        btec_templates.sync(Template.objects.all())
    _send(found.changed)


def _active_modules() -> list[str]:
    """Return the modules that are read, parents first. One query."""
    paused = configuration.paused_modules()
    return [module for module in MAPPINGS if module not in paused]


def _send(changed: Iterable[tuple[str, str]]) -> None:
    """Add the effects of changed records, and start doing them."""
    records = list(changed)
    if not records or handlers.current() is None:
        return
    if adding.add_due(records, modules=handlers.modules()):
        enqueuing.enqueue(run_effects)
