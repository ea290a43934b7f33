"""A decode interrupted at any point and resumed is byte-identical to an uninterrupted one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from tests.helpers.corpora import TOY, head
from translate import cli
from translate.api import load_translator
from translate.data.readers.sides import Side
from translate.decoding.line_translator import LineTranslator
from translate.decoding.resumable_output import OutputFile
from translate.errors import UserError

PLAIN = ["un", "", "trois: ünï", "", "5"]
NUMBERED = ["1\t-0.5\tun\n1\t-0.7\tune", "2\t0.0000\t", "3\t-1.0\ttrois\n3\t-1.1\tünï\n3\t-1.2\t", "4\t-0.1\tquatre"]
OBJECTS = [json.dumps({"id": number, "source": f"{number}\u2028"}, ensure_ascii=False) for number in range(1, 4)]
SHORT = ["--max-length", "8", "--beam-size", "3", "--device", "cpu"]
LAYOUTS = {
    "plain": SHORT,
    "json": [*SHORT, "--json"],
    "n-best": [*SHORT, "--n-best", "3"],
    "sample": [*SHORT, "--sample", "--n-best", "2", "--seed", "3"],
}
KILLED = """
import os, sys
import torch
from translate import cli
from translate.decoding import windows
from translate.decoding.resumable_output import OutputFile

windows.FIRST_WINDOW, windows.WINDOW_LINES = 3, 5
torch.set_num_threads(1)
layouts, run, source, folder = eval(sys.argv[1]), *sys.argv[2:]
for number, (name, options) in enumerate(layouts.items()):
    if os.fork():
        os.wait()
        continue
    write, killed_at = OutputFile.write, 4 + 3 * number

    def write_until_killed(self, text):
        if self.num_lines == killed_at:
            os.write(self._stream.fileno(), text.encode()[:5])
            os.kill(os.getpid(), 9)
        write(self, text)

    OutputFile.write = write_until_killed
    cli._run(["decode", run, "--input", source, "--output", f"{folder}/{name}", *options])
"""


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("translate.decoding.windows.FIRST_WINDOW", 3)
    monkeypatch.setattr("translate.decoding.windows.WINDOW_LINES", 5)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.txt"
    path.write_text(head(TOY / "test.en", 16).replace("\n", "\n\n", 1), encoding="utf-8")
    return path


def decode(run: Path, source: Path, output: Path, *options: str) -> int:
    return cli._run(["decode", str(run), "--input", str(source), "--output", str(output), *options])


@pytest.mark.parametrize("rows", [PLAIN, NUMBERED, OBJECTS], ids=["plain", "n-best", "json"])
def test_file_truncated_at_any_byte_resumes_after_its_last_complete_line(tmp_path: Path, rows: list[str]) -> None:
    path, made_by, num_saved = tmp_path / "out", {"input": "x"}, 2
    whole = "".join(f"{row}\n" for row in rows).encode()
    saved = len("".join(f"{row}\n" for row in rows[:num_saved]).encode())
    record = record_after(path, made_by, rows[:num_saved])
    for cut in range(saved, len(whole) + 1):
        for tail in (b"", bytes(16) + b"\n") if cut % 9 == 0 else (b"",):  # as a power failure may leave it
            (tmp_path / "out.partial").write_bytes(whole[:cut] + tail)
            (tmp_path / "out.partial.json").write_bytes(record)
            file = OutputFile(path, made_by)
            file.resume()
            assert file.num_lines == num_saved
            with file.writing():
                for row in rows[file.num_lines :]:
                    file.write(row)
            assert path.read_bytes() == whole
            assert [each.name for each in tmp_path.iterdir()] == ["out"]


def record_after(path: Path, made_by: dict[str, str], rows: list[str]) -> bytes:
    """The record of an output file that was interrupted after `rows`."""
    file = OutputFile(path, made_by)
    file.begin()
    with suppress(KeyboardInterrupt), file.writing():
        for row in rows:
            file.write(row)
        raise KeyboardInterrupt
    return path.with_name("out.partial.json").read_bytes()


@pytest.mark.parametrize("num_deleted", [1, 2, 6])
def test_saved_lines_with_any_damage_are_refused(tmp_path: Path, num_deleted: int) -> None:
    path, rows = tmp_path / "out", ["un", "deux", "trois"]
    record = record_after(path, {}, rows)
    partial = path.with_name("out.partial")
    whole = partial.read_bytes()
    damaged = [whole[:at] + whole[at + num_deleted :] for at in range(len(whole) - num_deleted + 1)]
    damaged += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    damaged += [whole[:at] + b"x" + whole[at:] for at in range(len(whole))]
    for content in damaged:
        partial.write_bytes(content)
        path.with_name("out.partial.json").write_bytes(record)
        with pytest.raises(UserError, match=r"out\.partial: damaged .*; delete .*out\.partial to start again"):
            OutputFile(path, {}).resume()
        assert partial.read_bytes() == content
    partial.write_bytes(whole)
    file = OutputFile(path, {})
    file.resume()
    assert file.num_lines == 3


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out"
    record = record_after(path, {"input": "x"}, ["un", "deux"])
    path.with_name("out.partial.json").write_bytes(record.replace(b"  2,", b"  1,"))
    for prepare in OutputFile.begin, OutputFile.resume:
        with pytest.raises(UserError, match=r"out\.partial\.json: damaged; delete .*out\.partial to start again"):
            prepare(OutputFile(path, {"input": "x"}))


def test_an_input_that_changes_while_it_is_translated_is_refused_and_leaves_nothing(
    tmp_path: Path, tiny_run: Path, source: Path, small_windows: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def write_and_append(self: OutputFile, text: str) -> None:
        write(self, text)
        if self.num_lines == 4:
            source.write_bytes(source.read_bytes() + b"One more.\n")

    write = OutputFile.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OutputFile, "write", write_and_append)
        assert decode(tiny_run, source, tmp_path / "out", *SHORT) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last == f"error: {source}: changed while it was being translated; run the command again"
    assert [each.name for each in tmp_path.iterdir()] == ["in.txt"]


def test_weights_replaced_after_loading_are_not_those_of_the_resumed_lines(
    tmp_path: Path, tiny_run: Path, other_run: Path, source: Path, small_windows: None, capsys
) -> None:
    """As when a training saves better weights just after a decode has read the old ones."""
    copied_run = shutil.copytree(tiny_run, tmp_path / "run")

    def load_and_replace(*args: object) -> LineTranslator:
        translator = load_translator(*args)
        shutil.copy(other_run / "model.safetensors", copied_run / "model.safetensors")
        return translator

    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("translate.commands.decode_io.load_translator", load_and_replace)
        interrupted(copied_run, source)
    before = out.with_name("out.partial").read_bytes()
    assert decode(copied_run, source, out, *SHORT, "--resume") == 2
    assert "cannot be resumed, because weights changed" in capsys.readouterr().err
    assert out.with_name("out.partial").read_bytes() == before


def test_killed_and_resumed_decode_matches_an_uninterrupted_one(
    tmp_path: Path, tiny_run: Path, source: Path, small_windows: None
) -> None:
    killed = tmp_path / "killed"
    killed.mkdir()
    command = [sys.executable, "-c", KILLED, repr(LAYOUTS), str(tiny_run), str(source), str(killed)]
    said = subprocess.run(command, capture_output=True, text=True)
    assert {path.name for path in killed.iterdir() if not path.name.endswith(".lock")} == {
        f"{name}.partial{end}" for name in LAYOUTS for end in ("", ".json")
    }, said.stderr
    for name, options in LAYOUTS.items():
        assert decode(tiny_run, source, tmp_path / name, *options) == 0
        whole = (tmp_path / name).read_bytes()
        partial = (killed / f"{name}.partial").read_bytes()
        assert partial
        assert whole.startswith(partial)
        assert decode(tiny_run, source, killed / name, *options) == 2
        assert (killed / f"{name}.partial").read_bytes() == partial
        assert decode(tiny_run, source, killed / name, *options, "--resume") == 0
        assert (killed / name).read_bytes() == whole
    assert {path.name for path in killed.iterdir()} == set(LAYOUTS)


def interrupted(run: Path, source: Path) -> Path:
    """Return a file whose decode was stopped by Ctrl-C after seven lines, out of two and a half windows."""
    path = source.with_name("out")

    def interrupt(self: OutputFile, text: str) -> None:
        if self.num_lines == 7:
            raise KeyboardInterrupt
        write(self, text)

    write = OutputFile.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OutputFile, "write", interrupt)
        assert decode(run, source, path, *SHORT) == 130
    return path


def test_interrupted_decode_is_reported_and_its_lines_are_kept(
    tiny_run: Path, source: Path, small_windows: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = interrupted(tiny_run, source)
    said = capsys.readouterr().err
    assert f"{out}.partial contains the first 7 lines; to continue, run the same command with --resume" in said
    assert not out.exists()
    partial = Path(f"{out}.partial")
    before = partial.read_bytes()
    assert before.count(b"\n") == 7
    assert decode(tiny_run, source, out, *SHORT) == 2
    assert "left by an interrupted translation after 7 lines; add --resume to continue" in capsys.readouterr().err
    assert partial.read_bytes() == before
    assert decode(tiny_run, source, out, *SHORT, "--resume") == 0
    assert "10 lines in" in capsys.readouterr().err
    assert out.read_bytes().startswith(before)
    assert out.read_bytes().count(b"\n") == 17


def test_resuming_with_other_settings_is_rejected(
    tiny_run: Path, other_run: Path, source: Path, small_windows: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = interrupted(tiny_run, source)
    before = Path(f"{out}.partial").read_bytes()

    def refusal(run: Path, *options: str) -> str:
        capsys.readouterr()
        assert decode(run, source, out, "--resume", "--device", "cpu", *options) == 2
        assert Path(f"{out}.partial").read_bytes() == before
        said = capsys.readouterr().err
        assert said.count("\n") == 1, said
        return said

    assert "because weights changed;" in refusal(other_run, *SHORT)
    assert "weights changed" in refusal(tiny_run, *SHORT, "--ensemble", str(other_run))
    assert "decode.beam_size was 3 and is now 4" in refusal(tiny_run, *SHORT, "--beam-size", "4")
    assert "--json was not given and is now given" in refusal(tiny_run, *SHORT, "--json")
    assert "--n-best was 1 and is now 2" in refusal(tiny_run, *SHORT, "--n-best", "2")
    assert "--prefix was not given and is now Le" in refusal(tiny_run, *SHORT, "--prefix", "Le")
    assert "--mask was not given and is now cross.0.1" in refusal(tiny_run, *SHORT, "--mask", "cross.0.1")
    assert "device was CPU (1 threads)" in refusal(tiny_run, *SHORT, "--precision", "bfloat16")
    source.write_bytes(source.read_bytes() + b"One more.\n")
    assert "because input changed;" in refusal(tiny_run, *SHORT)


def test_decode_that_cannot_be_resumed_is_reported(
    tmp_path: Path, tiny_run: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusal(*options: object) -> str:
        assert cli._run(["decode", str(tiny_run), *map(str, options)]) == 2
        return capsys.readouterr().err

    out = tmp_path / "out"
    assert "--resume needs --input FILE and --output FILE" in refusal("--resume", "--input", source)
    assert "--resume needs --input FILE and --output FILE" in refusal("--resume", "--output", out)
    assert "--resume needs --input FILE and --output FILE" in refusal("--resume", "x", "--output", out)
    maps = "--attention", tmp_path / "maps"
    assert "leave out --attention" in refusal("--resume", "--input", source, "--output", out, *maps)
    assert "leave out .gz" in refusal("--input", source, "--output", tmp_path / "out.gz")
    mine = tmp_path / "out.partial"
    mine.write_text("mine\n")
    for options in [], ["--resume"]:
        assert "already exists without out.partial.json; rename it" in refusal(
            "--input", source, "--output", out, *options
        )
    assert mine.read_text() == "mine\n"
    mine.unlink()
    source.write_bytes(b"Bad: \xff\n")
    assert "in.txt: line 1 is not UTF-8" in refusal("--input", source, "--output", out)
    assert [each.name for each in tmp_path.iterdir()] == ["in.txt"]


def test_deleted_folder_is_detected_before_more_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    file = OutputFile(tmp_path / "folder" / "out", {})
    file.begin()
    (tmp_path / "in").write_text("one\ntwo\n")
    lines = file.reading(Side(tmp_path / "in", 1))
    next(lines)
    file.write("un")
    shutil.rmtree(tmp_path / "folder")
    with pytest.raises(UserError, match=r"out\.partial: cannot be written: No such file or directory"):
        next(lines)


def test_only_one_process_can_write_a_file(tmp_path: Path) -> None:
    first = OutputFile(tmp_path / "out", {})
    first.begin()
    with pytest.raises(UserError, match=r"out\.partial: another process is writing this file"):
        OutputFile(tmp_path / "out", {})
    with first.writing():
        first.write("one")
    assert (tmp_path / "out").read_text() == "one\n"
    assert not os.path.lexists(tmp_path / "out.partial")
