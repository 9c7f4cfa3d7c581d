"""The site's URLs, and F0's view behind the site's middleware."""

from django.urls import path

from memora_site import urls
from tests.benchmarks.floor.urls import Nothing

handler400 = urls.handler400
handler403 = urls.handler403
handler404 = urls.handler404
handler500 = urls.handler500


class NothingOpen(Nothing):
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()


urlpatterns = [path("api/v1/nothing/", NothingOpen.as_view()), *urls.urlpatterns]
