"""Import and export in the admin: curriculum files and lesson spreadsheets.

An upload is first run as a dry run. The page shows its result, and a second click
imports the file.
"""

import hashlib
import tempfile
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
)
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _, ngettext
from django.views.decorators.http import require_POST, require_safe

from content import importers, pending_uploads
from content.curriculum import (
    ImportReport,
    Options,
    export_archive,
    export_curriculum,
    import_curriculum,
)
from content.curriculum_format import MAX_BYTES
from content.losses import fingerprint
from content.models import Node, NodeKind
from content.pending_uploads import UploadExpiredError
from content.spreadsheets import lesson_sheet
from content.spreadsheets.lesson_sheet import SheetReport
from core.errors import CurriculumError, MemoraError
from core.spreadsheets import files
from core.spreadsheets.files import CSV, XLSX, SheetError

CURRICULUM, SHEET, CONVERTED = "curriculum", "sheet", "converted"
_TYPES = {
    "json": "application/json",
    XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    CSV: "text/csv; charset=utf-8",
}
_ZIP = "zip"
_MAX_SHOWN = 200
_MAX_NOTES = 10


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the URLs of the pages, relative to the admin."""
    views: list[tuple[str, str, Callable[..., HttpResponseBase]]] = [
        ("", "exchange", require_safe(page)),
        ("curriculum/", "import_curriculum", require_POST(curriculum)),
        ("sheet/", "import_sheet", require_POST(sheet)),
        ("converted/", "import_converted", require_POST(converted)),
        ("export/<int:pk>.<str:kind>", "export_subject", require_safe(export)),
    ]
    return [
        path(f"content/exchange/{route}", site.admin_view(view), name=name)
        for route, name, view in views
    ]


def can_view(request: HttpRequest) -> bool:
    """Return whether the user may read content, and so export it."""
    return request.user.has_perm("content.view_node")


def can_import(request: HttpRequest, kind: str) -> bool:
    """Return whether the user may write everything that such a file can change."""
    permissions = ["content.change_node"]
    if kind != SHEET:
        permissions += ["content.add_node", "content.add_lessonstage"]
        permissions += ["content.change_lessonstage"]
    return request.user.has_perms(permissions)


def page(request: HttpRequest) -> HttpResponse:
    """Show both upload forms, and every subject with its export links."""
    return _page(request)


def _page(
    request: HttpRequest, *, status: int = 200, **context: object
) -> HttpResponse:
    if not can_view(request):
        raise PermissionDenied
    subjects = Node.objects.subjects().untrashed().order_by("tree_id")
    shown = {
        **admin.site.each_context(request),
        "title": _("Import and export"),
        "subjects": subjects.only("pk", "title", "public_id"),
        "may_import_curriculum": can_import(request, CURRICULUM),
        "may_import_sheet": can_import(request, SHEET),
        "suffixes": ",".join(f".{suffix}" for suffix in importers.SUFFIXES),
        "into": _target(request),
        **context,
    }
    return TemplateResponse(
        request, "admin/content/import_export.html", shown, status=status
    )


def _target(request: HttpRequest) -> Node | None:
    """Return the node that a link to the page names as the place for new content."""
    public_id = request.GET.get("into", "")
    nodes = Node.objects.untrashed().exclude(kind=NodeKind.LESSON)
    return nodes.filter(public_id=public_id).first() if public_id else None


def export(request: HttpRequest, pk: int, kind: str) -> HttpResponseBase:
    """Return a subject's curriculum file (``json``), alone or in a ZIP with its media
    (``zip``), or its lessons (``xlsx``, ``csv``).

    Lessons that do not fit a spreadsheet give an error message with status 400.
    """
    if not can_view(request):
        raise PermissionDenied
    if kind not in _TYPES and kind != _ZIP:
        raise Http404
    subject = get_object_or_404(Node.objects.subjects().untrashed(), pk=pk)
    if kind == _ZIP:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
        export_archive(subject.public_id, file)
        file.seek(0)
        name = f"{subject.public_id}.curriculum.zip"
        return FileResponse(file, as_attachment=True, filename=name)
    if kind == "json":
        data, name = export_curriculum(subject.public_id), "curriculum"
    else:
        try:
            data, name = lesson_sheet.export_lessons(subject, kind), "lessons"
        except SheetError as refusal:
            return _page(request, status=400, refusal=refusal)
    return HttpResponse(
        data,
        content_type=_TYPES[kind],
        headers={
            "Content-Disposition": (
                f'attachment; filename="{subject.public_id}.{name}.{kind}"'
            )
        },
    )


def curriculum(request: HttpRequest) -> HttpResponse:
    """Run an uploaded curriculum file as a dry run, or import a confirmed one."""
    return _import(request, CURRICULUM)


def sheet(request: HttpRequest) -> HttpResponse:
    """Run an uploaded sheet of lessons as a dry run, or import a confirmed one."""
    return _import(request, SHEET)


def converted(request: HttpRequest) -> HttpResponse:
    """Run a file of another program as a dry run, or import a confirmed one."""
    return _import(request, CONVERTED)


def _import(request: HttpRequest, kind: str) -> HttpResponse:
    if not can_import(request, kind):
        raise PermissionDenied
    try:
        name, data = _file(request, kind)
        if request.POST.get("upload"):
            return _confirm(request, kind, name, data)
        return _preview(request, kind, name, data)
    except CurriculumError as refusal:
        return _page(
            request, status=400, refused=kind, refusal=refusal, faults=refusal.faults
        )
    except MemoraError as refusal:
        return _page(request, status=400, refused=kind, refusal=refusal)


def _file(request: HttpRequest, kind: str) -> tuple[str, bytes]:
    """Return the name and data of the new upload, or of the one to confirm.

    Raises:
        MemoraError: there is no file, it is too large, or it has expired.
    """
    owner: Any = request.user
    if token := request.POST.get("upload"):
        return pending_uploads.read(owner=owner.pk, token=token)
    uploaded = request.FILES.get("file")
    if uploaded is None:
        raise UploadExpiredError(_("Choose a file first."))
    limit = files.MAX_BYTES if kind == SHEET else MAX_BYTES
    if (uploaded.size or 0) > limit:
        raise UploadExpiredError(
            _("The file is larger than %(limit)d MB.") % {"limit": limit >> 20}
        )
    return uploaded.name or "", uploaded.read()


def _choices(request: HttpRequest) -> dict[str, str]:
    """Return what the user chose on the form; the confirmation sends it again."""
    return {name: request.POST.get(name, "") for name in ("into", "title", "as_draft")}


class _ResultChangedError(Exception):
    """The content has changed since the result was shown."""


def _run(
    kind: str,
    name: str,
    data: bytes,
    choices: dict[str, str],
    *,
    shown: str | None = None,
    accept_losses: bool = False,
) -> ImportReport | SheetReport:
    """Import a file whose result was ``shown`` as this hash; None: a dry run.

    Raises:
        _ResultChangedError: the result is another one now; nothing was imported.
    """

    def check(report: ImportReport | SheetReport) -> None:
        if shown is not None and shown != _result_hash(report):
            raise _ResultChangedError

    as_draft = bool(choices["as_draft"])
    if kind == CURRICULUM:
        return import_curriculum(
            data,
            dry_run=shown is None,
            accept_losses=accept_losses,
            check=check,
            options=Options(as_draft=as_draft),
        )
    if kind == CONVERTED:
        return importers.import_file(
            data,
            name,
            into=choices["into"],
            title=choices["title"],
            as_draft=as_draft,
            dry_run=shown is None,
            accept_losses=accept_losses,
            check=check,
        )
    with transaction.atomic():
        report = lesson_sheet.import_lessons(data, name, dry_run=shown is None)
        if report.ignored_columns and shown is not None and not accept_losses:
            raise SheetError(
                _("Nothing was imported, because you have not accepted the loss.")
            )
        check(report)
    return report


def _preview(request: HttpRequest, kind: str, name: str, data: bytes) -> HttpResponse:
    """Show the result of a dry run, with a confirm button if it changes anything."""
    choices = _choices(request)
    report = _run(kind, name, data, choices)
    owner: Any = request.user
    token = ""
    if _does_something(report):
        token = pending_uploads.store(owner=owner.pk, name=name, data=data)
    return _page(
        request,
        tried=kind,
        name=name,
        choices=choices,
        report=report,
        fingerprint=_result_hash(report),
        token=token,
        most=_MAX_SHOWN,
        kinds=_kinds(report),
    )


def _confirm(request: HttpRequest, kind: str, name: str, data: bytes) -> HttpResponse:
    """Import the file once.

    If the result differs from the one shown, nothing is imported and the new result is
    shown.
    """
    owner: Any = request.user
    token = request.POST["upload"]
    before = pending_uploads.claim(owner=owner.pk, token=token)
    if before is not None:
        return _confirm_again(request, before)
    success = ""
    report: ImportReport | SheetReport | None
    try:
        report = _run(
            kind,
            name,
            data,
            _choices(request),
            shown=request.POST.get("shown", ""),
            accept_losses="accept_losses" in request.POST,
        )
        success = _success_message(report)
    except _ResultChangedError:
        report = None
    finally:
        pending_uploads.store_result(owner=owner.pk, token=token, message=success)
    if report is not None:
        messages.success(request, success)
        if noted := _notes_text(report):
            messages.warning(request, noted)
        return HttpResponseRedirect(reverse("admin:exchange"))
    messages.warning(
        request,
        _(
            "The content has changed since you checked the file. Nothing was "
            "imported: check the file again."
        ),
    )
    return _preview(request, kind, name, data)


def _notes_text(report: ImportReport | SheetReport) -> str:
    """Return the first notes of an import, one per line."""
    notes = [] if isinstance(report, SheetReport) else report.notes
    if not notes:
        return ""
    head = ngettext(
        "%(count)d place needs review:",
        "%(count)d places need review:",
        len(notes),
    ) % {"count": len(notes)}
    lines = [f"{place}: {remark}" for place, remark in notes[:_MAX_NOTES]]
    rest = ["…"] if len(notes) > _MAX_NOTES else []
    return "\n".join([head, *lines, *rest])


def _confirm_again(request: HttpRequest, message: str) -> HttpResponse:
    """Answer a second click: the result of the first, or that it is still running."""
    if message:
        messages.success(request, message)
    else:
        messages.info(
            request,
            _(
                "This file is already being imported. Check the content tree in a "
                "moment."
            ),
        )
    return HttpResponseRedirect(reverse("admin:exchange"))


def _does_something(report: ImportReport | SheetReport) -> bool:
    if isinstance(report, SheetReport):
        return bool(report.changes) and not report.faults
    counts = (report.nodes, report.stages)
    return any(count.created or count.updated for count in counts)


def _result_hash(report: ImportReport | SheetReport) -> str:
    """Return a hash of the shown result, independent of the language."""
    promised: tuple[object, ...]
    if isinstance(report, SheetReport):
        promised = (report.changes, bool(report.faults), report.ignored_columns)
    else:
        lost = (fingerprint(report.losses), len(report.left_out))
        promised = (report.revision, report.kinds, report.stages, lost)
    return hashlib.sha256(repr(promised).encode()).hexdigest()


def _kinds(report: ImportReport | SheetReport) -> list[tuple[str, Any]]:
    """Return the counts by kind with labels; stages are last."""
    if isinstance(report, SheetReport):
        return []
    return [
        *((str(NodeKind(kind).label), counts) for kind, counts in report.kinds),
        (_("stage"), report.stages),
    ]


def _success_message(report: ImportReport | SheetReport) -> str:
    if isinstance(report, SheetReport):
        message = ngettext(
            "%(count)d lesson was changed. Students will see it after the next "
            "publish.",
            "%(count)d lessons were changed. Students will see them after the next "
            "publish.",
            len(report.changes),
        )
        return message % {"count": len(report.changes)}
    return _(
        "“%(title)s” was imported: %(created)d created, %(updated)d changed, "
        "including stages. Students will see it after the next publish."
    ) % {
        "title": report.title,
        "created": report.nodes.created + report.stages.created,
        "updated": report.nodes.updated + report.stages.updated,
    }
