"""Admin pages of the content tree."""

from content.admin.lesson import StageInline
from content.admin.tree import NodeAdmin

__all__ = ["NodeAdmin", "StageInline"]
