"""Admin pages of the content tree and of the media library."""

from content.admin.media import MediaFileAdmin
from content.admin.stages import StageInline
from content.admin.tree import NodeAdmin

__all__ = ["MediaFileAdmin", "NodeAdmin", "StageInline"]
