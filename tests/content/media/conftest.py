"""The staff and content of all admin tests."""

from tests.admin_fixtures import *  # noqa: F403 - pytest finds fixtures by their names
