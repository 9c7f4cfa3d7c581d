"""WSGI entry point (Granian or gunicorn).

All URLs and views are imported here, so that the first request does not wait for them.
"""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from memora_site import log_buffer

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "memora_site.settings")
application = get_wsgi_application()
log_buffer.install()
get_resolver().url_patterns  # noqa: B018 - it imports them
