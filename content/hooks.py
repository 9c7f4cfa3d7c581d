"""What other apps add to the pages of content; content does not import these apps.

Annotations of the tree page have a module of their own: `content.tree_annotations`.
"""

from collections.abc import Sequence

from django.http import HttpRequest
from django.utils.safestring import SafeString

from content.models import Node
from core.hooks import Hook

node_deletion_warnings: Hook[[Sequence[Node]], str] = Hook()
"""Returns a sentence about the effects of deleting these nodes, or "".

In a fixed number of queries.
"""

node_links: Hook[[HttpRequest, Node], tuple[str, ...]] = Hook()
"""Returns the URL and the label of a link in the toolbar of a node's page; empty if
the user may not open it. No query."""

lesson_panels: Hook[[HttpRequest, Node], SafeString] = Hook()
"""Renders a panel on the page of a lesson; empty if there is nothing to show."""
