"""The admin's pages that import students: upload, preview, progress.

An upload is examined and shown; a second click imports it in a task.
"""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import get_language, gettext as _
from django.views.decorators.http import require_POST, require_safe
from kombu.exceptions import OperationalError

from core.errors import MemoraError
from core.spreadsheets import files
from core.spreadsheets.files import SheetError
from players import slip_views, tasks
from players.models import ImportStatus, StudentImport
from players.permissions import WRITE_STUDENTS
from players.services import import_runs
from players.services.import_runs import Preview
from players.services.student_import import CREATED, REFUSED, UNCHANGED, UPDATED
from players.services.student_sheet import COLUMNS, MAX_STUDENTS, label

_MAX_SHOWN = 500


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the URLs of the pages, relative to the admin."""
    views: list[tuple[str, str, Any]] = [
        ("", "import_students", require_safe(page)),
        ("preview/", "import_students_preview", require_POST(preview)),
        ("<int:pk>/start/", "import_students_start", require_POST(start)),
        ("<int:pk>/", "import_students_progress", require_safe(progress)),
        ("<int:pk>/slips/", "import_students_slips", require_POST(slips)),
    ]
    return [
        path(f"players/import/{route}", site.admin_view(view), name=name)
        for route, name, view in views
    ]


def can_import(request: HttpRequest) -> bool:
    """Return whether the user may do everything that a file can change."""
    user: Any = request.user
    return bool(user.has_perms(WRITE_STUDENTS))


def page(request: HttpRequest) -> HttpResponse:
    """Show the form for a file, and its columns."""
    return _page(request)


def _page(
    request: HttpRequest, *, status: int = 200, **context: object
) -> HttpResponse:
    if not can_import(request):
        raise PermissionDenied
    shown = {
        **admin.site.each_context(request),
        "title": _("Import students"),
        "columns": [
            (name, headers[0], headers[1:]) for name, headers in COLUMNS.values()
        ],
        "most_students": MAX_STUDENTS,
        "most_megabytes": files.MAX_BYTES >> 20,
        **context,
    }
    return TemplateResponse(
        request, "admin/players/import_students.html", shown, status=status
    )


def preview(request: HttpRequest) -> HttpResponse:
    """Show what each row of an uploaded file would do."""
    if not can_import(request):
        raise PermissionDenied
    uploaded = request.FILES.get("file")
    owner: Any = request.user
    try:
        if uploaded is None:
            raise SheetError(_("Choose a file first."))
        if (uploaded.size or 0) > files.MAX_BYTES:
            raise SheetError(
                _("The file is larger than %(limit)d MB.")
                % {"limit": files.MAX_BYTES >> 20}
            )
        found = import_runs.preview(
            uploaded.read(), uploaded.name or "", owner_id=owner.pk
        )
    except MemoraError as refusal:
        return _page(request, status=400, refusal=refusal)
    return _page(request, name=uploaded.name, **_shown(found))


def _shown(found: Preview) -> dict[str, Any]:
    refused = [one for one in found.outcomes if one.kind == REFUSED]
    changing = [one for one in found.outcomes if one.kind in (CREATED, UPDATED)]
    return {
        "preview": found,
        "counts": [
            (_("Created"), found.counts[CREATED]),
            (_("Changed"), found.counts[UPDATED]),
            (_("Unchanged"), found.counts[UNCHANGED]),
            (_("Refused"), found.counts[REFUSED]),
        ],
        "faults": [
            (one.row, label(column), reason)
            for one in refused
            for column, reason in one.faults
        ][:_MAX_SHOWN],
        "changes": [
            (
                one.row,
                _("Created") if one.kind == CREATED else _("Changed"),
                one.account.get("email") or (one.player and one.player.user.email),
                [label(column) for column in one.changed_columns],
            )
            for one in changing[:_MAX_SHOWN]
        ],
        "is_cut": len(changing) > _MAX_SHOWN,
        "most": _MAX_SHOWN,
        "does_something": bool(changing),
    }


def start(request: HttpRequest, pk: int) -> HttpResponse:
    """Start the import that was shown, once; then show its progress."""
    if not can_import(request):
        raise PermissionDenied
    key = request.POST.get("key", "")
    owner: Any = request.user
    try:
        import_runs.confirm(pk, key=key, owner_id=owner.pk)
    except MemoraError as refusal:
        return _page(request, status=400, refusal=refusal)
    try:
        tasks.import_students.delay(pk, key, get_language() or "en")
    except OperationalError:
        import_runs.take_back(pk)
        messages.error(
            request,
            _("The import cannot be started (Redis does not answer). Try again later."),
        )
        return HttpResponseRedirect(reverse("admin:import_students"))
    return HttpResponseRedirect(reverse("admin:import_students_progress", args=[pk]))


def slips(request: HttpRequest, pk: int) -> HttpResponse:
    """Print sign-in slips of the students that an import created."""
    if not (can_import(request) and _can_print(request)):
        raise PermissionDenied
    run = get_object_or_404(StudentImport.objects.defer("data", "digests"), pk=pk)
    try:
        return slip_views.respond(
            request,
            run.created_ids,
            url=reverse("admin:import_students_slips", args=[pk]),
        )
    except MemoraError as refusal:
        return _page(request, status=503, refusal=refusal)


def _can_print(request: HttpRequest) -> bool:
    user: Any = request.user
    return bool(user.has_perm(slip_views.PERMISSION))


def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """Show how far an import is and what it refused; renewed while it runs."""
    if not can_import(request):
        raise PermissionDenied
    run = get_object_or_404(StudentImport.objects.defer("data", "digests"), pk=pk)
    return _page(
        request,
        run=run,
        has_stopped=import_runs.has_stopped(run),
        is_running=run.status in (ImportStatus.WAITING, ImportStatus.RUNNING),
        is_failed=run.status == ImportStatus.FAILED,
        counts=[
            (_("Created"), run.created),
            (_("Changed"), run.updated),
            (_("Unchanged"), run.unchanged),
            (_("Refused"), run.refused_rows),
        ],
        faults=run.refused[:_MAX_SHOWN],
        may_print=_can_print(request) and bool(run.created_ids),
        most=_MAX_SHOWN,
    )
