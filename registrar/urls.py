"""The addresses of the inbox, below ``/api/v1/``."""

from django.urls import path

from registrar import views
from registrar.inbox.endpoints import ALIASES, NOTIFICATION

urlpatterns = [
    path(
        "webhooks/student-dashboard/<slug:event>/",
        views.webhook,
        name="registrar-webhook",
    ),
    path(
        f"webhooks/{NOTIFICATION}/", views.notification, name="registrar-notification"
    ),
    *(
        path(f"{name}/", views.alias, {"name": name}, name=f"registrar-{name}")
        for name in ALIASES
    ),
]
