"""Files for Moodle: uploaded into a draft area, from which other calls take them."""

from typing import BinaryIO

from django.utils.translation import gettext as _

from registrar.moodle.client import PEER, MoodleClient
from registrar.peers.errors import PeerAnswerError


def upload(
    client: MoodleClient, *, name: str, file: BinaryIO, content_type: str
) -> int:
    """Upload a file and return the number of its new draft area (``itemid``).

    Raises:
        PeerRefusedError: Moodle refuses the file, for example for its size.
    """
    found = client.upload(name=name, file=file, content_type=content_type)
    if not isinstance(found, list) or not found:
        raise PeerAnswerError(
            _("Moodle's answer cannot be read."), peer=PEER, reason="upload"
        )
    return int(found[0]["itemid"])
