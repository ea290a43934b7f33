"""Checked JSON files: reading returns the values written or raises an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from translate.errors import UserError
from translate.system.checked_json import read_record, write_record

VALUES = {"step": 3, "best": 0.1, "name": "à\u2028é", "nothing": None, "list": [1, [2]]}


def test_a_record_survives_a_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, VALUES, version=2)
    assert read_record(path, 2, "write it again") == VALUES
    assert json.loads(path.read_bytes())["format"] == 2


def test_a_flipped_bit_never_changes_a_value(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, VALUES, version=1)
    content = path.read_bytes()
    for place in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            found = read_record(path, 1, "write it again")
        except UserError:
            continue
        assert found == VALUES  # white space, or a letter in another spelling


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"null", b'"sha256"', b"\xff", b"[" * 100_000, b'{"sha256": 1}']
)
def test_invalid_content_is_reported_as_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"record\.json: damaged; write it again"):
        read_record(path, 1, "write it again")


def test_a_different_format_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(path, VALUES, version=7)
    with pytest.raises(UserError, match="format 7, but this version reads format 1"):
        read_record(path, 1, "write it again")
    with pytest.raises(FileNotFoundError):
        read_record(tmp_path / "none.json", 1, "write it again")
