"""Admin pages of the content tree, of the media library and of products."""

from content.admin.media import MediaFileAdmin
from content.admin.products import ProductAdmin
from content.admin.stages import StageInline
from content.admin.tree import NodeAdmin

__all__ = ["MediaFileAdmin", "NodeAdmin", "ProductAdmin", "StageInline"]
