"""The language of the terminal that a command runs in. Plain Python: no Django here."""

import os


def terminal_language() -> str:
    """Return "ar" if the terminal's locale is Arabic, else "en"."""
    language = next(
        filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), ""
    )
    return "ar" if language.lower().startswith("ar") else "en"
