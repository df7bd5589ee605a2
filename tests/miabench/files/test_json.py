"""Our own JSON files: what is damaged is named, with what to do; never a traceback."""

import pytest
from pydantic import TypeAdapter

from miabench import UserError
from miabench.files import json as module
from miabench.files.json import read_json

WHY = TypeAdapter(dict[str, float])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "kept.json"


def test_what_is_whole_is_read(path):
    path.write_bytes(b'{"a": 1.5}')
    assert read_json(path, WHY, "make it anew") == {"a": 1.5}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff{}", b"[1]", b'{"a": "x"}', b"[" * 100_000, b'{"a": 1} {}', b"null", b'{"a": NaN}'],
    ids=["empty", "cut", "no text", "other kind", "other type", "deep", "two", "null", "not finite"],
)
def test_what_is_damaged_is_named_with_the_remedy(path, content):
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"kept\.json is damaged \(.+\); make it anew$") as error:
        read_json(path, WHY, "make it anew")
    assert len(str(error.value)) < 400


def test_a_file_that_is_not_there_or_far_too_large_is_named(path, monkeypatch):
    with pytest.raises(UserError, match=r"cannot read .*kept\.json: No such file or directory; make it anew"):
        read_json(path, WHY, "make it anew")
    path.write_bytes(b'{"a": 1}')
    monkeypatch.setattr(module, "LARGEST", 7)
    with pytest.raises(UserError, match=r"kept\.json is damaged \(more than 7 bytes\)"):
        read_json(path, WHY, "make it anew")
