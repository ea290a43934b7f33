"""Run commands on odd corpora: exit status 0 with one line per line, or 2 with one error line."""

from __future__ import annotations

import gzip
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.corpora import TOY, head
from translate import cli

SIGNS = st.sampled_from(
    ["a", "word", "</s>", "<0x0A>", "▁", "\0", "\x1b[2J", "\u2028", "\u202e", "\ufeff", "e\u0301", "\U0001f600\ufe0f"]
)
ODD_LINES = st.lists(SIGNS, max_size=8).map(" ".join).map(str.encode)
LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n"])
NOT_UTF8 = st.sampled_from([b"", b"", b"\xff", b"\xc3", b"\xed\xa0\x80"])
TEXTS = st.one_of(
    st.tuples(LINE_ENDS, st.lists(ODD_LINES, max_size=12), NOT_UTF8).map(lambda each: each[0].join(each[1]) + each[2]),
    st.builds(lambda text, end: text.encode("utf-16") + end, st.text(max_size=20), LINE_ENDS),
    st.sampled_from([b"", b"\n" * 50, b"a" * 3000 + b"\n", b"Z" + b"\xcc\x81" * 2000 + b"\n"]),
)
ODD = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check_end(status: int, capsys: pytest.CaptureFixture[str], *names: str) -> None:
    said = capsys.readouterr().err
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in said
    assert (status, bool(errors)) in ((0, False), (2, True)), said
    assert not errors or not names or any(name in errors[0] for name in names), errors


@ODD
@given(content=TEXTS, is_packed=st.booleans())
def test_decoding_any_file_prints_a_line_per_line_or_one_error(
    content: bytes, is_packed: bool, tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with TemporaryDirectory() as folder:
        source, output = Path(folder) / ("in.gz" if is_packed else "in"), Path(folder) / "out"
        source.write_bytes(gzip.compress(content) if is_packed else content)
        files = ["--input", str(source), "--output", str(output)]
        status = cli._run(["decode", str(tiny_run), *files, "--max-length", "2", "--beam-size", "1", "--device", "cpu"])
        check_end(status, capsys, str(source))
        if status == 0:
            text = content.decode("utf-16").encode() if content.startswith((b"\xff\xfe", b"\xfe\xff")) else content
            num_lines = text.count(b"\n") + (not text.endswith(b"\n") and bool(text))
            assert output.read_bytes().count(b"\n") == num_lines
        assert not list(Path(folder).glob("*.partial"))


@ODD
@given(src=TEXTS, tgt=TEXTS)
def test_checking_any_two_files_ends_as_documented(
    src: bytes, tgt: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "src").write_bytes(src)
    for content in tgt, src:
        (tmp_path / "tgt").write_bytes(content)
        check_end(cli._run(["check", "--src", str(tmp_path / "src"), "--tgt", str(tmp_path / "tgt")]), capsys)


@settings(ODD, max_examples=7)
@given(src=TEXTS, tgt=TEXTS)
def test_training_on_any_two_files_succeeds_or_leaves_no_run(
    src: bytes, tgt: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = ["vocab.size=330", "model.d_model=8", "model.num_heads=1", "train.max_steps=1", "train.batch_tokens=64"]
    with TemporaryDirectory() as folder:
        path = Path(folder)
        sound = head(TOY / "train.en", 40).encode()  # enough to train on
        (path / "src").write_bytes(sound + src)
        (path / "tgt").write_bytes(sound + (tgt if len(tgt) % 2 else src))
        sets = [word for setting in tiny for word in ("--set", setting)]
        files = ["--src", str(path / "src"), "--tgt", str(path / "tgt"), "--out", str(path / "run")]
        status = cli._run(["train", *files, *sets, "--device", "cpu"])
        check_end(status, capsys)
        assert (path / "run" / "model.safetensors").exists() == (status == 0)
        assert status == 0 or not (path / "run" / "config.toml").exists()
