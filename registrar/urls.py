"""The addresses of the inbox and of links to the students' pages, below ``/api/v1/``."""

from django.urls import path

from registrar import views
from registrar.inbox.endpoints import ALIASES, NOTIFICATION
from registrar.student_pages import api, link_views

urlpatterns = [
    path(
        "webhooks/student-dashboard/<slug:event>/",
        views.webhook,
        name="registrar-webhook",
    ),
    path(
        f"webhooks/{NOTIFICATION}/", views.notification, name="registrar-notification"
    ),
    path(
        "me/student-link/",
        api.StudentLinkViewSet.as_view({"post": "create"}),
        name="me-student-link",
    ),
    path("student-links/", link_views.create_link, name="student-links"),
    *(
        path(f"{name}/", views.alias, {"name": name}, name=f"registrar-{name}")
        for name in ALIASES
    ),
]
