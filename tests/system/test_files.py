"""Atomic writes: a file is either complete or unchanged."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from tests.faults.disk import failing
from translate.errors import UserError
from translate.system.files import (
    append_text,
    atomic_folder,
    atomic_write,
    read_regular,
    refuse_overwriting,
    write_text,
)


def test_disk_errors_name_what_a_temporary_folder_becomes(tmp_path: Path) -> None:
    with (
        failing(tmp_path, "write", 1),
        pytest.raises(UserError, match=f"^{tmp_path / 'new'}: cannot be written: No space left on device$"),
        atomic_folder(tmp_path / "new") as partial,
    ):
        write_text(partial / "a", "text")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "before\r\n")

    def write_half() -> None:
        with atomic_write(path) as partial:
            partial.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert path.read_bytes() == b"before\r\n"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_signal_during_creation_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_file = os.open

    def interrupted(path: str, flags: int, mode: int = 0o777) -> int:
        os.close(open_file(path, flags, mode))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "file", "x")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_a_written_file_has_default_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_text(tmp_path / "ours", "x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_links_and_pipes_are_preserved(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_text(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "x"
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    with atomic_write(tmp_path / "pipe") as pipe:
        pipe.write_text("y")
    reader.join(timeout=10)
    assert read == ["y"]
    assert (tmp_path / "pipe").is_fifo()
    with pytest.raises(UserError, match="this is a folder"):
        write_text(tmp_path, "z")


def test_a_full_disk_is_reported_with_the_file_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_text(tmp_path / "file", "before")
    monkeypatch.setattr("translate.system.files.os.fsync", full)
    with pytest.raises(UserError, match="file: cannot be written: No space left on device"):
        write_text(tmp_path / "file", "after")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("file", "before")]


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no/file: cannot be written: No such file or directory"):
        write_text(tmp_path / "no" / "file", "x")


def test_a_folder_appears_completely_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in "empty", "outer/new":
        with atomic_folder(tmp_path / name) as partial:
            write_text(partial / "file", "x")
            assert not (tmp_path / name / "file").exists()
        assert [each.name for each in (tmp_path / name).iterdir()] == ["file"]
        with pytest.raises(UserError, match="already exists"), atomic_folder(tmp_path / name):
            pass

    def write_half() -> None:
        with atomic_folder(tmp_path / "half") as partial:
            write_text(partial / "file", "x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["empty", "outer"]
    with (
        pytest.raises(UserError, match="cannot be written: Not a directory"),
        atomic_folder(tmp_path / "empty/file/new"),
    ):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_device_is_reported() -> None:
    error = pytest.raises(UserError, match=r"^/dev/full: cannot be written: No space left on device$")
    with error, atomic_write(Path("/dev/full")) as device:
        device.write_text("x")


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(UserError, match=r"file: too large \(5 bytes; at most 4\)"):
        read_regular(path, 4)
    os.truncate(path, 2**40)  # sparse
    with pytest.raises(UserError, match="file: too large"):
        read_regular(path)
    os.mkfifo(tmp_path / "pipe")
    for other in tmp_path / "pipe", Path(os.devnull), Path("/dev/zero"):
        with pytest.raises(UserError, match=f"^{other}: this is a pipe or a device"):
            read_regular(other)
    for action in (lambda: append_text(tmp_path / "pipe", "x"), lambda: append_text(Path(os.devnull), "x")):
        with pytest.raises(UserError, match=r"pipe: cannot be written|this is a pipe or a device"):
            action()


def test_files_of_our_own_replace_a_pipe_that_is_in_their_place(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    write_text(tmp_path / "pipe", "x")
    assert (tmp_path / "pipe").read_text() == "x"


def test_links_that_lead_to_themselves_are_reported(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for write in (
        write_text,
        lambda path, _: atomic_folder(path).__enter__(),
        lambda path, _: atomic_write(path).__enter__(),
    ):
        with pytest.raises(UserError, match="loop: its symbolic links lead back to themselves"):
            write(tmp_path / "loop", "x")


@pytest.mark.parametrize("name", ["chosen.json", "train.log", "corpus/texts.json", "checkpoints/step-00000001/x"])
def test_no_file_of_a_run_is_overwritten_by_results(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with pytest.raises(UserError, match="would overwrite an input file"):
        refuse_overwriting("--output", path, [tmp_path])
    (tmp_path / "test.fr").touch()  # results of an earlier command
    refuse_overwriting("--output", tmp_path / "test.fr", [tmp_path])
