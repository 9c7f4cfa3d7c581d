"""Files for upload fields of Zoho CRM."""

from typing import BinaryIO

from registrar.zoho.answers import row_results
from registrar.zoho.client import ZohoClient


def upload(client: ZohoClient, *, name: str, file: BinaryIO, content_type: str) -> str:
    """Upload a file for an upload field and return its id.

    A record takes it as ``[{"File_Id__s": id}]``. Zoho deletes a file that no record
    has taken within a day.

    Args:
        file: can be positioned (``seek``); it is read in parts.

    Raises:
        PeerRefusedError: Zoho refuses the file.
    """
    body = client.write("POST", "files", files={"file": (name, file, content_type)})
    return row_results(body, expected=1)[0].checked()
