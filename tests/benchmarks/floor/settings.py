"""The floors' settings: those of the site without any middleware.

What the API's own settings choose is written here as it stood when the floors were
first measured, so that the floors do not change with the API.
"""

import os

from memora_site.settings import *  # noqa: F403

MIDDLEWARE = []
ROOT_URLCONF = "tests.benchmarks.floor.urls"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["memora_site.api_json.OrjsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["memora_site.api_json.OrjsonParser"],
    "UNAUTHENTICATED_USER": None,
}
_database = DATABASES["default"]  # noqa: F405
_database["ENGINE"] = _database["ENGINE"].replace(
    "core.db_backends", "django.db.backends"
)
_database["CONN_MAX_AGE"] = None
_database["CONN_HEALTH_CHECKS"] = False
FLOOR_REDIS_URL = os.environ["REDIS_URL"]
