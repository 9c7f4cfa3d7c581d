"""WSGI entry point of the site under load."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.site.settings"

from memora_site.wsgi import application

__all__ = ["application"]
