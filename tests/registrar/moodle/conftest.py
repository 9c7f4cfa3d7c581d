import time

import pytest


@pytest.fixture
def mark() -> str:
    """Makes the names of a test unique."""
    return str(time.time_ns())[-10:]
