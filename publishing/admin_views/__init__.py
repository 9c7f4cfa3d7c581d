"""Publishing's pages in the admin."""
