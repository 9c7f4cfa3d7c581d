"""The registrar in the admin."""
