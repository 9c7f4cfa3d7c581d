"""URLs of the progress API, under ``/api/v1/``."""

from django.urls import URLPattern, URLResolver
from rest_framework.routers import SimpleRouter

from progress.staff_views import StaffProgressViewSet
from progress.start_views import StartViewSet
from progress.sync_views import SyncViewSet
from progress.views import LessonViewSet, ProgressViewSet, ReviewViewSet

router = SimpleRouter()
router.register("lessons", LessonViewSet, basename="lesson")
router.register("progress", ProgressViewSet, basename="progress")
router.register("start", StartViewSet, basename="start")
router.register("sync", SyncViewSet, basename="sync")
router.register("reviews", ReviewViewSet, basename="review")
router.register("admin/progress", StaffProgressViewSet, basename="staff-progress")

urlpatterns: list[URLPattern | URLResolver] = router.urls
