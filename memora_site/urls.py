"""Every URL of the site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("api/v1/", include("players.urls")),
    path("api/v1/", include("progress.urls")),
    path("files/", include("publishing.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
]
