#!/usr/bin/env python
"""Run Django's management commands for Memora, in the language of the terminal."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "memora_site.settings")
    import django
    from django.core.management import execute_from_command_line
    from django.utils import translation

    from memora_site.terminal import terminal_language

    django.setup()  # translations need the apps
    with translation.override(terminal_language()):
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
