"""WSGI entry point of the site under load."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.site.settings"

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
