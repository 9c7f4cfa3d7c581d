"""A view of the API leaves nothing for the garbage collector."""

import gc

import pytest
from rest_framework.test import APIRequestFactory

from core.api_response import ApiResponse
from core.api_views import ApiViewSet


class Lessons(ApiViewSet):
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()

    def list(self, request):
        assert request.parser_context["view"] is self
        return ApiResponse({"ok": True})


@pytest.fixture
def no_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_view_request_and_answer_are_freed_without_the_garbage_collector():
    view = Lessons.as_view({"get": "list"})
    request = APIRequestFactory().get("/")
    assert view(request).content == b'{"ok":true}'  # also imports what it needs
    gc.collect()
    view(request)
    kinds = {type(one).__name__ for one in gc.get_objects()}
    assert not {"Lessons", "ApiResponse"} & kinds
