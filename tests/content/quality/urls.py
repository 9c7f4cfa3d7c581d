"""Addresses of this site, with one page."""

from django.http import HttpResponse
from django.urls import include, path

urlpatterns = [
    path("api/v1/lessons/<str:lesson_id>/", lambda request, lesson_id: HttpResponse()),
    path("", include("memora_site.urls")),
]
