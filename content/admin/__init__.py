"""The content tree in the admin."""

from content.admin.lesson import StageInline
from content.admin.tree import NodeAdmin

__all__ = ["NodeAdmin", "StageInline"]
