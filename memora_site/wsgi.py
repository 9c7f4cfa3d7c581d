"""WSGI entry point (Granian or gunicorn)."""

import os

from django.core.wsgi import get_wsgi_application

from memora_site import log_buffer

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "memora_site.settings")
application = get_wsgi_application()
log_buffer.install()
