"""Grades from Moodle to Zoho (D7A): reads what Moodle has. The outbox sends it."""
