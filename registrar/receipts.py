"""The private folder of receipts that students send."""

import os

from django.conf import settings
from django.core.files.storage import FileSystemStorage


class ReceiptFolder(FileSystemStorage):
    """``settings.RECEIPT_ROOT``; it has no URLs."""

    def __init__(self) -> None:
        super().__init__(file_permissions_mode=0o600, directory_permissions_mode=0o700)

    @property
    def base_location(self) -> str:
        return str(settings.RECEIPT_ROOT)

    @property
    def location(self) -> str:
        return os.path.abspath(self.base_location)

    def url(self, _name: str | None) -> str:
        """Refuse.

        Raises:
            ValueError: always.
        """
        raise ValueError("a receipt has no address")
