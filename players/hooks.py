"""What other apps add to the pages of players; players does not import these apps."""

from django.http import HttpRequest
from django.utils.safestring import SafeString

from core.hooks import Hook
from players.models import PlayerProfile

player_panels: Hook[[HttpRequest, PlayerProfile], SafeString] = Hook()
"""Renders panels on the page of a student; empty if there is nothing to show.

In a fixed number of queries.
"""
