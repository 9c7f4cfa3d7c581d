"""Limits on the JSON that is read."""

import pytest

from core.json_limits import MAX_DEPTH, JSONLimitError, is_too_deep, loads


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}])
def test_only_so_many_levels_are_read(wrap):
    value: object = "a"
    for _level in range(MAX_DEPTH):
        value = wrap(value)
    assert not is_too_deep(value)
    assert is_too_deep(wrap(value))


def test_only_so_many_bytes_are_parsed(monkeypatch):
    assert loads(b'{"a": 1}', max_bytes=8) == {"a": 1}
    monkeypatch.setattr("core.json_limits.orjson.loads", pytest.fail)
    with pytest.raises(JSONLimitError):
        loads(b'{"a": 12}', max_bytes=8)


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 1000])
def test_deep_json_is_refused(levels):
    with pytest.raises(JSONLimitError):
        loads(b"[" * levels + b"]" * levels, max_bytes=10_000)
