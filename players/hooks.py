"""What other apps add to the pages of players; players does not import these apps."""

from django.http import HttpRequest
from django.utils.safestring import SafeString

from core.hooks import Hook
from players.models import PlayerProfile, StudyGroup

player_panels: Hook[[HttpRequest, PlayerProfile], SafeString] = Hook()
"""Renders panels on the page of a student; empty if there is nothing to show.

In a fixed number of queries.
"""

group_links: Hook[[HttpRequest, StudyGroup], tuple[str, ...]] = Hook()
"""Returns the URL and the label of a link in the toolbar of a group's page; empty if
the user may not open it. No query."""
