"""Django's database backends, with the limits of `core.db_limits`."""
