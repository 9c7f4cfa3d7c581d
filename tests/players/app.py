"""A student's app, as the API sees it: its device, its token, its requests."""

import uuid
from typing import Any

from rest_framework.response import Response
from rest_framework.test import APIClient

PASSWORD = "correct horse 7"


class App:
    """The app on one device; when signed in, it sends its token with every request."""

    def __init__(self, device_id: str = "", *, version: str = "") -> None:
        self.device_id = device_id or str(uuid.uuid4())
        self.version = version
        self.token = ""
        self.client = APIClient()

    def _headers(self) -> dict[str, str]:
        headers = {"X-Device-ID": self.device_id}
        if self.version:
            headers["X-App-Version"] = self.version
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers

    def get(self, path: str) -> Response:
        return self.client.get(f"/api/v1/{path}", headers=self._headers())

    def post(self, path: str, body: Any = None) -> Response:
        return self.client.post(
            f"/api/v1/{path}", body, format="json", headers=self._headers()
        )

    def patch(self, path: str, body: Any) -> Response:
        return self.client.patch(
            f"/api/v1/{path}", body, format="json", headers=self._headers()
        )

    def put(self, path: str, body: bytes, content_type: str) -> Response:
        return self.client.generic(
            "PUT", f"/api/v1/{path}", body, content_type, headers=self._headers()
        )

    def delete(self, path: str) -> Response:
        return self.client.delete(f"/api/v1/{path}", headers=self._headers())

    def sign_in(self, email: str, password: str = PASSWORD, **body: Any) -> Response:
        """Sign in, and keep the token if there is one."""
        self.token = ""
        answer = self.post(
            "auth/login/", {"email": email, "password": password, **body}
        )
        if answer.status_code == 200:
            self.token = answer.json()["token"]
        return answer
