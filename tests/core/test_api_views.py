"""A view of the API leaves nothing for the garbage collector."""

import gc
import weakref

import pytest
from rest_framework.test import APIRequestFactory

from core.api_response import ApiResponse
from core.api_views import ApiViewSet


class Lessons(ApiViewSet):
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    made: tuple[weakref.ref, ...] = ()

    def list(self, request):
        assert request.parser_context["view"] is self
        answer = ApiResponse({"ok": True})
        Lessons.made = tuple(map(weakref.ref, (self, request, answer)))
        return answer


@pytest.fixture
def no_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_view_request_and_answer_are_freed_without_the_garbage_collector():
    view = Lessons.as_view({"get": "list"})
    assert view(APIRequestFactory().get("/")).content == b'{"ok":true}'
    assert [one() for one in Lessons.made] == [None, None, None]
