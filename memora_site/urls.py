"""All URLs of the site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, reverse_lazy
from django.views.generic import RedirectView

from memora_site import health, metrics, schema_view, staff_api, uploads
from players import account_pages

urlpatterns: list[URLPattern | URLResolver] = [
    # The students' API first: most requests are for it, and Django tries one by one.
    # Of it, first the few patterns of progress.
    path("api/v1/", include("progress.urls")),
    path("api/v1/", include("players.urls")),
    path("", RedirectView.as_view(url=reverse_lazy("admin:index"))),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", metrics.metrics),
    path("account/password/", account_pages.new_password, name="new-password"),
    path("student/", include("registrar.student_pages.urls")),
    path("admin/may-send", uploads.can_upload, name="may-send"),
    path("admin/", admin.site.urls),
    path("api/v1/schema/", schema_view.SchemaView.as_view(), name="api-schema"),
    path(
        "api/v1/docs/",
        schema_view.SchemaPage.as_view(url_name="api-schema"),
        name="api-docs",
    ),
    path("api/v1/", include(staff_api.router.urls)),
    path("api/v1/", include("registrar.urls")),
    path("files/photos/<str:name>", uploads.photo, name="photo"),
    path("files/", include("publishing.urls")),
    path("media/<path:path>", uploads.upload),
    path("i18n/", include("django.conf.urls.i18n")),
]

handler400 = "memora_site.error_views.bad_request"
handler403 = "memora_site.error_views.permission_denied"
handler404 = "memora_site.error_views.page_not_found"
handler500 = "memora_site.error_views.server_error"
