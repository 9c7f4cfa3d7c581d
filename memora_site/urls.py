"""All URLs of the site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, reverse_lazy
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny

from memora_site import health, metrics, staff_api, uploads

_open_to_all = {"authentication_classes": [], "permission_classes": [AllowAny]}

urlpatterns: list[URLPattern | URLResolver] = [
    # The students' API first: most requests are for it, and Django tries one by one.
    path("api/v1/", include("players.urls")),
    path("api/v1/", include("progress.urls")),
    path("", RedirectView.as_view(url=reverse_lazy("admin:index"))),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", metrics.metrics),
    path("admin/may-send", uploads.can_upload, name="may-send"),
    path("admin/", admin.site.urls),
    path(
        "api/v1/schema/",
        SpectacularAPIView.as_view(**_open_to_all),
        name="api-schema",
    ),
    path(
        "api/v1/docs/",
        # The split view has its script in a file: the CSP allows no inline scripts.
        SpectacularSwaggerSplitView.as_view(url_name="api-schema", **_open_to_all),
        name="api-docs",
    ),
    path("api/v1/", include(staff_api.router.urls)),
    path("files/photos/<str:name>", uploads.photo, name="photo"),
    path("files/", include("publishing.urls")),
    path("media/<path:path>", uploads.upload),
    path("i18n/", include("django.conf.urls.i18n")),
]

handler400 = "memora_site.error_views.bad_request"
handler403 = "memora_site.error_views.permission_denied"
handler404 = "memora_site.error_views.page_not_found"
handler500 = "memora_site.error_views.server_error"
