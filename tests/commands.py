"""Running management commands in tests."""

import json
from io import StringIO
from typing import Any

from django.core.management import CommandError, call_command


def run(*words: str) -> str:
    """Return the command's output; raises its errors."""
    out = StringIO()
    call_command(*words, stdout=out, stderr=StringIO())
    return out.getvalue()


def run_json(*words: str) -> tuple[dict[str, Any], int]:
    """Return the command's one JSON object and its exit code."""
    out, code = StringIO(), 0
    try:
        call_command(*words, "--json", stdout=out, stderr=StringIO())
    except CommandError as error:
        code = error.returncode
    return json.loads(out.getvalue()), code
