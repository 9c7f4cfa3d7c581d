"""A storage for files that no address leads to."""

import os
from typing import Any

from django.conf import settings
from django.core.files.storage import FileSystemStorage


class PrivateFolder(FileSystemStorage):
    """The folder that a setting names; its files have no URLs."""

    def __init__(self, *, root_setting: str, **options: Any) -> None:
        """``root_setting``: the setting's name, which is read at each use."""
        self._root_setting = root_setting
        super().__init__(**options)

    @property
    def base_location(self) -> str:
        return str(getattr(settings, self._root_setting))

    @property
    def location(self) -> str:
        return os.path.abspath(self.base_location)

    def url(self, _name: str | None) -> str:
        """Refuse.

        Raises:
            ValueError: always.
        """
        raise ValueError("the files of this storage have no URL")
