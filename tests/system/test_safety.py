"""Commands never access the network, execute file contents, let text control the terminal or expose partial files."""

from __future__ import annotations

import importlib
import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.corpora import head
from tests.helpers.runs import changed, train_into
from translate import cli
from translate.cli import _print_error
from translate.commands.attention.display import report_picture
from translate.config.settings import Config
from translate.run.folder import Run
from translate.system.files import atomic_folder, atomic_write, write_text
from translate.system.terminal_text import for_stream, print_message, spelled_out, without_controls

ESCAPES = "\x1b]0;title\x07\x1b[2J\x9b31m\r\x08\x7f"
REORDERING = "\u202a\u202d\u202e\u2066\u2067"  # the last two are not closed
# Ends a process with status 77 when it looks up or calls another machine, or starts a program.
GUARD = """
import sys, os

def guard(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto"):
        address = arguments[0] if event.startswith("socket.get") else arguments[1]
        host = address[0] if isinstance(address, tuple) else address
        is_here = host in ("127.0.0.1", "localhost", "::1", b"127.0.0.1") or event == "socket.connect" and isinstance(
            address, (str, bytes))
        if not is_here:
            os.write(2, f"NETWORK {event} {arguments!r}\\n".encode())
            os._exit(77)
    if event in ("os.system", "os.exec", "os.posix_spawn", "os.startfile", "subprocess.Popen", "pickle.find_class"):
        if PROGRAMS and "font" not in repr(arguments) and event != "pickle.find_class" or "hacked" in repr(arguments):
            os.write(2, f"PROGRAM {event} {arguments!r}\\n".encode())
            os._exit(77)

sys.addaudithook(guard)
import translate.cli
for arguments in COMMANDS:
    sys.argv = ["translate", *arguments]
    try:
        translate.cli.main()
    except SystemExit as end:
        os.write(2, f"status {end.code}: {arguments[0]}\\n".encode())
"""


def guarded(folder: Path, *commands: list[str | Path], programs: bool = True) -> str:
    """Run commands in a process that exits if they do something forbidden. Returns its standard error."""
    lines = [[str(argument) for argument in command] for command in commands]
    code = f"COMMANDS = {lines!r}\nPROGRAMS = {programs}\n{GUARD}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, errors="replace", timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    return done.stderr


def test_the_guard_detects_network_access(tmp_path: Path) -> None:
    code = GUARD.partition("import translate.cli")[0]
    for call in "getaddrinfo('example.org', 80)", "socket().connect(('192.0.2.1', 80))":
        done = subprocess.run([sys.executable, "-c", f"PROGRAMS = 1\n{code}\nimport socket; socket.{call}"])
        assert done.returncode == 77


def test_no_command_accesses_the_network_or_starts_a_program(tmp_path: Path, corpus: Path, tiny_config: Config) -> None:
    settings = ["vocab.size=400", "model.d_model=16", "model.d_ff=16", "model.num_heads=2", "train.max_steps=2"]
    settings += ["train.validate_sentences=2", "model.num_encoder_layers=1", "model.num_decoder_layers=1"]
    settings += ["decode.max_length_ratio=0.5", "model.positions=sinusoidal"]
    for side in "en", "fr":
        (tmp_path / f"few.{side}").write_text(head(corpus / f"valid.{side}", 3), encoding="utf-8")
    few = ["--src", "few.en", "--tgt", "few.fr"]
    said = guarded(
        tmp_path,
        ["train", "--src", corpus / "train.en", "--tgt", corpus / "train.fr", "--out", "run"]
        + [argument for setting in settings for argument in ("--set", setting)],
        ["decode", "run", "I love apples.", "--json", "--attention", "maps"],
        ["score", "run", *few],
        ["attention", "maps", "--html", "page.html"],
        ["align", "run", *few],
        ["export", "run", "--format", "huggingface", "hf"],
        ["export", "run", "--format", "ctranslate2", "ct2"],
        ["export", "run", "--format", "page", "page"],
    )
    assert said.count("status 0: ") == 8, said


def test_malicious_text_and_models_are_never_executed(tmp_path: Path, tiny_run: Path) -> None:
    attack = "import os; os.system('touch hacked')"
    pickle = b"cos\nsystem\n(S'touch hacked'\ntR."
    (tmp_path / "a.txt").write_text(
        f"{attack}\n__import__('os').system('touch hacked')\n$(touch hacked)\n`touch hacked`\n"
    )
    (tmp_path / "b.toml").write_text('train = "!!python/object/apply:os.system [touch hacked]"\n')
    (tmp_path / "c.toml").write_text(
        f'vocab.model = "{tmp_path}/pickle"\ndata.train_src = "a.txt"\ndata.train_tgt = "a.txt"'
    )
    (tmp_path / "pickle").write_bytes(pickle)
    (tmp_path / "pickle.npz").write_bytes(pickle)
    run = tmp_path / "run"
    run.mkdir()
    for name in "config.toml", "vocab.model":
        (run / name).write_bytes((tiny_run / name).read_bytes())
    (run / "model.safetensors").write_bytes(pickle)
    said = guarded(
        tmp_path,
        ["decode", tiny_run, "--input", "a.txt", "--output", "out.txt"],
        ["train", "b.toml"],
        ["train", "c.toml"],
        ["decode", run, "x"],
        ["attention", "pickle.npz"],
        ["align", tiny_run, "--src", "a.txt", "--tgt", "a.txt", "--gold", "pickle"],
    )
    assert said.count("status 2: ") == 5, said
    assert not list(tmp_path.rglob("hacked"))


def test_only_control_characters_are_replaced() -> None:
    assert without_controls(f"a{ESCAPES}b\tc\n") == "a�]0;title��[2J�31m���b\tc\n"
    assert spelled_out("a\nb\x1b\u2028\n", "b") == "a\nb\\x1b\\u2028\n"
    assert spelled_out("a\nb", "\n") == "a\\nb"
    assert without_controls(f"{REORDERING}\u2068שלום\u2069\u2069\u2068") == "�����\u2068שלום\u2069��"
    assert spelled_out("\u202ea\u2068\udcff") == "\\u202ea\\u2068\\udcff"
    kept = "日本語 שלום\u200f 👩\u200d👩\u200d👧 e\u0301 \u2028 \xad"
    assert without_controls(kept) == kept
    for code in [*range(32), *range(127, 160)]:
        assert (without_controls(chr(code)) == chr(code)) == (chr(code) in "\t\n")


def test_control_characters_are_removed_for_terminals_but_not_for_pipes() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert for_stream(ESCAPES, io.StringIO()) == for_stream(ESCAPES, None) == ESCAPES
    assert for_stream(ESCAPES, Terminal()) == without_controls(ESCAPES)


def test_messages_cannot_control_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(tmp_path)
    run.log(f"    {ESCAPES}{REORDERING}\u2028\udcff")
    print_message(f"warning: {ESCAPES}{REORDERING}\u2028\udcff")
    _print_error(f"{tmp_path}/{ESCAPES}{REORDERING}: no such file")
    report_picture(Path(f"a\nerror: {ESCAPES}"), [ESCAPES])
    said = capsys.readouterr().err
    log = (tmp_path / "train.log").read_text(encoding="utf-8")
    assert said.count("\n") == 5
    for text in said, log:
        assert text.replace("\n", "").isprintable(), text


def test_samples_from_a_malicious_corpus_are_harmless_in_log_and_terminal(
    tmp_path: Path, tiny_config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in "en", "fr":
        (tmp_path / f"valid.{side}").write_text(f"{ESCAPES} cat {side}\n", encoding="utf-8", newline="\n")
    config = changed(tiny_config, "data", valid_src=str(tmp_path / "valid.en"), valid_tgt=str(tmp_path / "valid.fr"))
    run = train_into(
        tmp_path / "run", changed(config, "train", max_steps=1, validate_sentences=1, snapshot_sentences=1)
    )
    log = (run.path / "train.log").read_text(encoding="utf-8")
    assert "[2J" in log
    assert log.replace("\n", "").isprintable()
    assert "\x1b]" not in capsys.readouterr().err


def test_partial_files_are_private_and_results_follow_the_umask(tmp_path: Path) -> None:
    seen = []
    for mask, rights in (0o022, 0o644), (0o077, 0o600), (0o002, 0o664):
        before = os.umask(mask)
        try:
            path = tmp_path / f"{mask}.txt"
            with atomic_write(path) as partial:
                seen.append(partial.name)
                assert partial.parent == path.parent
                assert stat.S_IMODE(partial.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.stat().st_mode) == rights
            with atomic_folder(tmp_path / f"{mask}") as folder:
                seen.append(folder.name)
                assert folder.parent == tmp_path
                write_text(folder / "a", "")
            assert stat.S_IMODE((tmp_path / f"{mask}" / "a").stat().st_mode) == rights
        finally:
            os.umask(before)
    with atomic_write(tmp_path / f"{0o022}.txt") as partial:
        assert partial.name not in seen, "a name that can be foretold"


MUTATE = """
import random, sys, sentencepiece
from pathlib import Path
from translate.errors import UserError
from translate.data.vocab import Vocab

proto, num_tries = Path(sys.argv[1]).read_bytes(), int(sys.argv[2])
taken = 0
for seed in range(num_tries):
    draw = random.Random(seed)
    mutant = bytearray(proto)
    for _ in range(draw.choice([1, 3, 30])):
        place = draw.randrange(len(mutant)) if draw.random() < 0.5 else draw.randrange(len(mutant) - 2000, len(mutant))
        kind = draw.randrange(3)
        if kind == 0:
            mutant[place] = draw.randrange(256)
        elif kind == 1:
            del mutant[place : place + draw.randrange(1, 20)]
        else:
            mutant[place:place] = draw.randbytes(draw.randrange(1, 20))
    Path(sys.argv[3]).write_bytes(mutant)
    print(seed, flush=True)
    try:
        vocab = Vocab(bytes(mutant), "mutant")
        ids = vocab.encode(["The cat sat on the mat. 日本 </s>", "", "\\0x" * 50])
        texts = [vocab.decode(row) for row in ids]
        vocab.pieces(range(vocab.size))
        assert not any("\\n" in text for text in texts)
        taken += 1
    except UserError:
        pass
print("taken", taken)
"""


def test_a_damaged_sentencepiece_model_never_crashes_the_process(tmp_path: Path, tiny_run: Path) -> None:
    num_tries = int(os.environ.get("NUM_MUTANTS", "40"))
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "faulthandler",
            "-c",
            MUTATE,
            tiny_run / "vocab.model",
            str(num_tries),
            tmp_path / "mutant",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (done.returncode, done.stdout[-30:], done.stderr[-2000:])


def test_an_error_with_line_breaks_in_a_name_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert _print_error("a\nerror: fake: no such file", "the second error") == 2
    assert capsys.readouterr().err == "error: a\\nerror: fake: no such file\nerror: the second error\n"


def test_a_package_that_rejects_the_environment_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "picky.py").write_text("raise ValueError('PICKY=bogus: not a level')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(cli, "_invoke", lambda _: importlib.import_module("picky"))
    assert cli._run(["decode"]) == 2
    reason = "PICKY=bogus: not a level; check your environment variables"
    assert capsys.readouterr().err == f"error: a package cannot be imported: {reason}\n"
