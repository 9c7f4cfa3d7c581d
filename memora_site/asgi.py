"""An ASGI entry for servers that want one; WSGI is 4-8 times cheaper here."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "memora_site.settings")
application = get_asgi_application()
