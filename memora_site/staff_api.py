"""The staff's API for apps to the left of ``players``.

``publishing`` may not import ``players``, which has the staff's authentication.
"""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from players.serializers import ErrorSerializer
from players.views import StaffViewSet
from publishing.cdn import connection
from publishing.monitoring import status
from publishing.serializers import ConnectionSerializer, QueueStatusSerializer


class PublishingQueueViewSet(StaffViewSet):
    """Pending, running and failed builds and uploads."""

    staff_permissions: ClassVar[dict[str, str]] = {"list": "publishing.view_synclog"}

    @extend_schema(
        summary="How publishing stands",
        operation_id="admin_publishing_queue",
        responses={
            200: QueueStatusSerializer,
            (401, "application/json"): ErrorSerializer,
            (403, "application/json"): ErrorSerializer,
        },
    )
    def list(self, request: Request) -> Response:
        found = status.queue_status().as_dict()
        return Response(QueueStatusSerializer(found).data)


class PublishingConnectionViewSet(StaffViewSet):
    """The CDN connection of the publishing settings."""

    staff_permissions: ClassVar[dict[str, str]] = {
        "test_connection": "publishing.change_publishingsettings"
    }

    @extend_schema(
        summary="Write, read and delete a probe on the CDN",
        operation_id="admin_publishing_test_connection",
        request=None,
        responses={
            200: ConnectionSerializer,
            (401, "application/json"): ErrorSerializer,
            (403, "application/json"): ErrorSerializer,
        },
    )
    @action(detail=False, methods=["post"], url_path="test-connection")
    def test_connection(self, request: Request) -> Response:
        found = connection.check().as_dict()
        return Response(ConnectionSerializer(found).data)


router = SimpleRouter()
router.register(
    "admin/publishing", PublishingConnectionViewSet, basename="staff-publishing"
)
router.register(
    "admin/publishing/queue", PublishingQueueViewSet, basename="staff-publishing-queue"
)
