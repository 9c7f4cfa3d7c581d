"""The base of all views of the API."""

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.viewsets import ViewSet


class ApiViewSet(ViewSet):
    """A view set whose view and request are freed once an `ApiResponse` is returned.

    In REST framework both refer to themselves and to the answer. They would stay, with
    the bytes of the answer, until the garbage collector finds them. So does an error's
    small answer, which is a `Response` of REST framework and refers to the request.
    """

    def dispatch(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        response = super().dispatch(request, *args, **kwargs)
        self.request.parser_context.clear()
        self.__dict__.clear()
        return response
