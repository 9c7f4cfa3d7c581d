"""Files of Zoho CRM: attachments of a record, and files of upload fields."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO

from registrar.zoho.answers import row_results
from registrar.zoho.client import ZohoClient
from registrar.zoho.values import api_name, record_id as checked_id

MAX_BYTES = 20 * 1024 * 1024
"""The largest file that Zoho takes."""


def attach(
    client: ZohoClient,
    *,
    module: str,
    record_id: str,
    name: str,
    file: BinaryIO,
    content_type: str,
) -> str:
    """Attach a file to a record and return the attachment's id.

    Args:
        file: can be positioned (``seek``); it is read in parts.

    Raises:
        PeerRefusedError: Zoho refuses the file, or has no such record.
    """
    body = client.write(
        "POST",
        _path(module, record_id),
        files={"file": (name, file, content_type)},
    )
    return row_results(body, expected=1)[0].checked()


def download(
    client: ZohoClient, *, module: str, record_id: str, attachment_id: str
) -> AbstractContextManager[Iterator[bytes]]:
    """Open an attachment; the context is an iterator over its parts."""
    return client.download(f"{_path(module, record_id)}/{checked_id(attachment_id)}")


def upload(client: ZohoClient, *, name: str, file: BinaryIO, content_type: str) -> str:
    """Upload a file for an upload field and return its id.

    A record takes it as ``[{"File_Id__s": id}]``. Zoho deletes a file that no record
    has taken within a day.
    """
    body = client.write("POST", "files", files={"file": (name, file, content_type)})
    return row_results(body, expected=1)[0].checked()


def _path(module: str, record_id: str) -> str:
    return f"{api_name(module)}/{checked_id(record_id)}/Attachments"
