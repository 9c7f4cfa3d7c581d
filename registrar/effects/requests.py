"""A student's request becomes a record in Zoho."""

import mimetypes
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from registrar.models import CRM_TYPES, Effect, RequestKind, Submission
from registrar.zoho import files, records
from registrar.zoho.client import ZohoClient
from registrar.zoho.values import coql_text, to_lookup, to_multi_select

_CLASSES = "Class_Drop_Classes"


def push_request(effect: Effect, *, zoho: ZohoClient) -> str:
    """Create the record of a request, with its receipt; once, however often it is tried.

    Its subject contains our UUID: a record that an earlier attempt has created is found
    by it. The receipt is deleted here as soon as the CRM has it.
    """
    submission = Submission.objects.select_related("student").get(uuid=effect.record_id)
    if not submission.zoho_id:
        zoho_id = _find(zoho, effect.module, submission.subject)
        if not zoho_id:
            zoho_id = _create(zoho, effect.module, submission)
        Submission.objects.filter(pk=submission.pk).update(zoho_id=zoho_id)
        submission.zoho_id = zoho_id
    if submission.receipt:
        submission.receipt.delete(save=False)
        Submission.objects.filter(pk=submission.pk).update(receipt="")
    return _("Zoho has the request: %(id)s.") % {"id": submission.zoho_id}


def _find(zoho: ZohoClient, module: str, subject: str) -> str:
    select = (
        f"select id from {module} where Subject = {coql_text(subject)} "  # noqa: S608
        "limit 1"
    )
    found = records.query(zoho, select=select)
    return str(found[0]["id"]) if found else ""


def _create(zoho: ZohoClient, module: str, submission: Submission) -> str:
    record: dict[str, Any] = {
        "Subject": submission.subject,
        "Student_ID": to_lookup(submission.student.zoho_id),
        "Request_Type": CRM_TYPES[RequestKind(submission.kind)],
        "Description": submission.description,
        "Request_Date": timezone.localdate(submission.created_at).isoformat(),
    }
    if submission.class_ids:
        record[_CLASSES] = to_multi_select(submission.class_ids, field=_CLASSES)
    if submission.receipt:
        # A file that no record takes, after a failed create, is deleted by Zoho.
        record["Attachment"] = [{"File_Id__s": _upload(zoho, submission)}]
    # Workflows run: the school's staff are told of a new request by them.
    [result] = records.create(zoho, module=module, records=[record], run_workflows=True)
    return result.checked()


def _upload(zoho: ZohoClient, submission: Submission) -> str:
    name = submission.receipt.name or ""
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    # Any: Django's file has the methods of a binary file.
    receipt: Any = submission.receipt
    with receipt.open("rb") as file:
        return files.upload(zoho, name=f"receipt-{name}", file=file, content_type=kind)
