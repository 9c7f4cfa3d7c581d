"""The staff's API for apps to the left of ``players``.

``publishing`` may not import ``players``, which has the staff's authentication.
"""

from typing import ClassVar

from django.utils.translation import gettext_lazy as _
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from core.api_operations import Operation, describe
from players.views import StaffViewSet
from publishing.cdn import connection
from publishing.cdn.connection import ConnectionTest
from publishing.monitoring import status
from publishing.monitoring.status import QueueReport


class PublishingQueueViewSet(StaffViewSet):
    """Pending, running and failed builds and uploads."""

    staff_permissions: ClassVar[dict[str, str]] = {"list": "publishing.view_synclog"}

    @describe(
        Operation(
            id="staff_get_publishing_queue",
            tag="staff",
            summary=_("The state of publishing"),
            description=_(
                "Return the plans that wait for a build, the running and the failed "
                "builds and uploads, and the last release of each plan."
            ),
            answer=QueueReport,
        )
    )
    def list(self, request: Request) -> Response:
        return Response(status.queue_status().report())


class PublishingConnectionViewSet(StaffViewSet):
    """The CDN connection of the publishing settings."""

    staff_permissions: ClassVar[dict[str, str]] = {
        "test_connection": "publishing.change_publishingsettings"
    }

    @describe(
        Operation(
            id="staff_test_cdn",
            tag="staff",
            summary=_("Test the CDN"),
            description=_(
                "Write a small file to the bucket in the settings, read it, also "
                "through the public URL, and delete it. It takes up to 40 seconds."
            ),
            answer=ConnectionTest,
        )
    )
    @action(detail=False, methods=["post"], url_path="test-connection")
    def test_connection(self, request: Request) -> Response:
        return Response(connection.check().report())


router = SimpleRouter()
router.register(
    "admin/publishing", PublishingConnectionViewSet, basename="staff-publishing"
)
router.register(
    "admin/publishing/queue", PublishingQueueViewSet, basename="staff-publishing-queue"
)
