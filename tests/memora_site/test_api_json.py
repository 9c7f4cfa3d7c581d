"""The limit on a request body of the API."""

import io

import pytest
from rest_framework.exceptions import ParseError

from memora_site.api_json import MAX_BODY_BYTES, OrjsonParser


@pytest.fixture
def parse():
    def parse(data: bytes):
        return OrjsonParser().parse(io.BytesIO(data))

    return parse


def test_a_body_is_read(parse):
    assert parse(b'{"reviews": [{"item_id": "A"}]}') == {"reviews": [{"item_id": "A"}]}


def test_a_body_that_is_too_large_is_neither_read_nor_parsed(monkeypatch):
    class Endless(io.RawIOBase):
        taken = 0

        def read(self, size: int = -1) -> bytes:
            assert size > 0
            self.taken += size
            return b" " * size

    monkeypatch.setattr("core.json_limits.orjson.loads", pytest.fail)
    stream = Endless()
    with pytest.raises(ParseError):
        OrjsonParser().parse(stream)
    assert stream.taken == MAX_BODY_BYTES + 1


@pytest.mark.parametrize("levels", [33, 1000, 40_000])
def test_a_deep_body_is_refused(parse, levels):
    with pytest.raises(ParseError):
        parse(b"[" * levels + b"]" * levels)


def test_a_deep_body_is_an_error_of_the_client(client):
    deep = b'{"email": ' + b"[" * 900 + b"]" * 900 + b"}"
    answer = client.post(
        "/api/v1/auth/login/",
        deep,
        content_type="application/json",
        headers={"X-Device-ID": "0b5a1c9e-3f6d-4a5e-9c2b-1d2e3f4a5b6c"},
    )
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "INVALID_BODY"
