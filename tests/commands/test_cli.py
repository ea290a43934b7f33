"""The command line: results on standard output, one line per error, and documented exit statuses."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import typer

from tests.helpers.runs import TINY
from translate import __version__, cli
from translate.commands import app

SETTINGS = [argument for name, value in TINY.items() for argument in ("--set", f"{name}={value}")]


class Outcome:
    """Exit status, standard output and standard error of a command."""

    def __init__(self, status: int, output: str, errors: str) -> None:
        self.status, self.output, self.errors = status, output, errors

    def assert_one_line_about(self, *parts: str) -> None:
        assert self.status == 2, self.errors
        assert self.output == ""
        assert self.errors.count("\n") == 1, self.errors
        assert self.errors.startswith("error: ")
        for part in parts:
            assert part in self.errors


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def command(*arguments: object) -> Outcome:
        status = cli._run([str(argument) for argument in arguments])
        return Outcome(status, *capsys.readouterr())

    return command


def give_input(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


@pytest.fixture
def all_is_long(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let each job be announced as if it took long, until this is undone."""

    class Immediate(threading.Thread):
        def start(self) -> None:
            self.run()

        def join(self, timeout: float | None = None) -> None:
            pass

    monkeypatch.setattr("translate.report.progress.Thread", Immediate)
    monkeypatch.setattr("translate.report.progress.DELAY", 0.0)
    return monkeypatch


def assert_in_this_order(errors: str, jobs: list[str]) -> None:
    lines = iter(errors.splitlines())
    assert [job for job in jobs if job not in lines] == [], errors  # each is looked for after the one before it


def test_train_decode_and_inspect_from_two_files(
    run, corpus: Path, tmp_path: Path, all_is_long: pytest.MonkeyPatch
) -> None:
    """The main use case, with no settings file and no validation text."""
    folder = tmp_path / "my run's folder"
    files = ("--src", corpus / "train.en", "--tgt", corpus / "train.fr")
    trained = run("train", *files, "--out", folder, *SETTINGS, "--set", "train.max_steps=5")
    assert trained.status == 0
    assert trained.output == ""
    assert "train: 200 pairs" in trained.errors  # too few to split any off for validation
    jobs = ["loading PyTorch ...", "reading the training text ...", "choosing settings that suit the text ..."]
    jobs += ["checking a sample of the text ...", "training the vocabulary ...", "encoding the training text"]
    jobs += ["encoding the validation text", "building the model ...", "validation at step 5 ..."]
    assert_in_this_order(trained.errors, jobs)
    assert_ends_with_what_to_do(run, trained.errors, folder)
    decoded = run(
        "decode", folder, "I love apples.", "The cat sat.", "--attention", tmp_path / "maps", "--device", "cpu"
    )
    assert decoded.status == 0
    assert decoded.output.count("\n") == 2
    shown = run("attention", tmp_path / "maps", "--sentence", 2, "--png", tmp_path / "map.png")
    assert shown.status == 0
    assert shown.output.startswith("encoder-decoder attention, mean of 2 layers, mean of 2 heads\n")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    again = run("train", *files, "--out", folder, *SETTINGS)
    again.assert_one_line_about(str(folder), "already exists; add --resume")
    before_reading = run("train", "--src", tmp_path / "gone.en", "--tgt", tmp_path / "gone.fr", "--out", folder)
    before_reading.assert_one_line_about(str(folder), "already exists")
    resumed = run("train", "--resume", "--out", folder, "--set", "train.max_steps=6")
    assert "resumed after step 5" in resumed.errors
    jobs = ["checking that the text is unchanged ...", "opening the encoded training text ..."]
    assert_in_this_order(resumed.errors, [*jobs, "looking for a checkpoint ..."])
    all_is_long.undo()
    complete = run("train", "--resume", "--out", folder, "--set", "train.patience=1", "--set", "train.max_minutes=1e-6")
    assert_ends_with_what_to_do(run, complete.errors, folder)
    run("train", "--resume", "--out", folder, "--set", "model.d_model=64").assert_one_line_about("model.d_model = 32")


def assert_ends_with_what_to_do(run, log: str, folder: Path) -> None:
    """Training ended with its best validation and three commands, which work as they are."""
    end, best, head, *commands = log.splitlines()[-6:]
    assert end.startswith("training ended: train.max_steps (")
    assert end.endswith(f" of training; the weights are in {folder}/model.safetensors")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    lowest = min((line for line in lines if "valid_loss" in line), key=lambda line: line["valid_loss"])
    assert best.startswith(f"best validation: step {lowest['step']}, loss {lowest['valid_loss']:.3f}, perplexity ")
    assert best.endswith(", on 200 pairs of the training text (BLEU and chrF: 3 of them)")
    assert head == "try next:"
    decode, attend, serve = map(shlex.split, commands)
    assert decode == ["translate", "decode", str(folder)]
    assert serve == ["translate", "serve", str(folder), "--open"]
    assert attend[-1] == "--open"
    assert run(*attend[1:-1], "--device", "cpu").status == 0
    assert (folder / "attention" / "index.html").exists()


@pytest.mark.usefixtures("all_is_long")
def test_dry_run_reports_estimates_and_leaves_no_files(
    run, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = "--src", corpus / "train.en", "--tgt", corpus / "train.fr"
    told = run("train", *files, *SETTINGS, "--set", "train.max_steps=7", "--set", "train.max_epochs=3", "--dry-run")
    assert told.status == 0, told.errors
    facts = {line.split()[0]: line.partition(" ")[2].strip() for line in told.output.splitlines()}
    assert facts["training"] == "200 pairs"
    assert facts["validation"] == "200 pairs"
    assert facts["model"].endswith("parameters")
    assert "limited by 7 steps (train.max_steps)" in facts["time"]
    assert {"source", "target", "vocabulary", "device", "epoch", "memory", "step"} <= facts.keys()
    assert "setting      model.d_model = 32" in told.output
    assert "setting      train.validate_every = 500" in told.output  # as set, although only 7 steps are planned
    assert "measuring the time per step ...\n" in told.errors
    assert not list(tmp_path.iterdir())
    run("train", *files, "--dry-run", "--resume", "--out", "x").assert_one_line_about("leave out --resume")


@pytest.mark.parametrize(
    ("length", "interval"),
    [
        # Enough for a curve of eight points, although these validations take much of the time.
        (["train.max_steps=160"], "20"),
        (["train.max_steps=0", "train.max_epochs=200", "train.schedule=constant"], "230"),  # of 23 steps each
    ],
    ids=str,
)
def test_validations_suit_the_length_of_the_training_unless_their_interval_is_set(
    run, corpus: Path, length: list[str], interval: str
) -> None:
    settings = [("--set", setting) for setting in ("train.validate_every=0", *length)]
    files = "--src", corpus / "train.en", "--tgt", corpus / "train.fr"
    report = run("train", *files, *SETTINGS, *itertools.chain(*settings), "--dry-run", "--device", "cpu")
    assert re.findall(r"train.validate_every = (\d+)", report.output) == [interval], report.output + report.errors


def test_decode_treats_arguments_files_and_standard_input_alike(
    run, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["I love apples.", "", "The cat sat on the mat."]
    by_argument = run("decode", tiny_run, *lines)
    path = tmp_path / "in.txt"
    path.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    by_file = run("decode", tiny_run, "--input", path)
    give_input(monkeypatch, "\n".join(lines).encode())
    by_stdin = run("decode", tiny_run)
    to_file = run("decode", tiny_run, "--input", path, "--output", tmp_path / "out.txt")
    assert by_argument.output == by_file.output == by_stdin.output == (tmp_path / "out.txt").read_text("utf-8")
    assert by_argument.output.split("\n")[1] == ""
    assert by_argument.output.count("\n") == 3
    assert to_file.output == ""


def test_each_piped_line_is_answered_before_the_next(
    run, tiny_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal:
        def __init__(self) -> None:
            self.lines = ["I love apples.\n", "\n", "The cat sat.\n", ""]
            self.answers = ""

        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            self.answers += capsys.readouterr().out
            assert self.answers.count("\n") == 3 - (len(self.lines) - 1)
            return self.lines.pop(0)

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert run("decode", tiny_run).status == 0


def test_at_a_terminal_it_says_that_it_waits_for_sentences(
    run, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_input(monkeypatch, b"I love apples.\n")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    outcome = run("decode", tiny_run, "--output", tmp_path / "out.txt")
    assert "type sentences, one per line; Ctrl-D ends the input" in outcome.errors
    assert (tmp_path / "out.txt").read_text("utf-8").count("\n") == 1


def test_json_has_the_documented_fields(run, tiny_run: Path) -> None:
    outcome = run("decode", tiny_run, "--json", "--beam-size", 3, "--n-best", 2, 'He said "</s>" 😀', "")
    first, second = (json.loads(line) for line in outcome.output.splitlines())
    assert first.keys() == {"id", "source", "translations", "warnings"}
    assert (first["id"], first["source"]) == (1, 'He said "</s>" 😀')
    assert [candidate.keys() for candidate in first["translations"]] == [{"text", "score", "pieces", "log_probs"}] * 2
    assert second["translations"] == [{"text": "", "score": 0.0, "pieces": [], "log_probs": []}]


def test_n_best_text_has_line_number_score_and_translation(run, tiny_run: Path) -> None:
    rows = [
        line.split("\t")
        for line in run("decode", tiny_run, "--n-best", 2, "She sings.", "He runs.").output.splitlines()
    ]
    assert [row[0] for row in rows] == ["1", "1", "2", "2"]
    assert float(rows[0][1]) >= float(rows[1][1])


def test_long_line_is_decoded_with_a_warning(run, tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "long").write_text("apples " * 800)
    outcome = run("decode", tiny_run, "--input", tmp_path / "long", "--beam-size", 1)
    assert outcome.status == 0
    assert outcome.output.count("\n") == 1
    assert "warning: line 1: longer than the maximum of 256 pieces" in outcome.errors


def bad_texts(folder: Path) -> dict[str, Path]:
    contents = {"good": b"one\ntwo\n", "short": b"one\n", "empty": b"", "blank": b"\n \n", "latin1": b"one\ncaf\xe9\n"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in [*contents, "missing"]}


@pytest.mark.parametrize(
    ("src", "tgt", "parts"),
    [
        ("missing", "good", ["missing: no such file"]),
        ("good", "missing", ["missing: no such file"]),
        ("good", "short", ["good has 2 lines but ", "short has 1"]),
        ("empty", "empty", ["empty: no pair of lines"]),
        ("blank", "good", ["blank: no pair of lines"]),
        ("good", "latin1", ["latin1: line 2 is not UTF-8"]),
    ],
)
@pytest.mark.parametrize("part", ["train", "valid"])
def test_invalid_text_is_reported_in_one_line_and_leaves_no_run(
    run, corpus: Path, tmp_path: Path, src: str, tgt: str, parts: list[str], part: str
) -> None:
    paths = bad_texts(tmp_path)
    files = {"--src": corpus / "train.en", "--tgt": corpus / "train.fr"}
    prefix = "--" if part == "train" else "--valid-"
    files |= {f"{prefix}src": paths[src], f"{prefix}tgt": paths[tgt]}
    outcome = run("train", *(argument for pair in files.items() for argument in pair), "--out", tmp_path / "run")
    outcome.assert_one_line_about(*parts)
    assert not (tmp_path / "run").exists()


def test_other_errors_print_one_line(run, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("train").assert_one_line_about("data.train_src: no training text")
    run("train", tmp_path / "no.toml").assert_one_line_about("no.toml: no such settings file")
    run("train", "--set", "train.max_stps=3").assert_one_line_about("train.max_stps: unknown", "train.max_steps")
    run("train", "--set", "train.max_minutes=1e-310").assert_one_line_about("train.max_minutes", "0, for no limit")
    run("train", "--set", "data.src_lang=en_GB").assert_one_line_about('data.src_lang = "en_GB"', "not a language code")
    run("train", "--set", "train.max_steps=three").assert_one_line_about('train.max_steps = "three"', "integer")
    run("train", "--src", "x").assert_one_line_about("train_src is set but train_tgt is not")
    run("train", "--resume", "--out", tmp_path).assert_one_line_about(str(tmp_path), "not a run folder")
    run("train", "--nonsense").assert_one_line_about("No such option")
    run("nonsense").assert_one_line_about("No such command")
    run("decode", tmp_path, "x").assert_one_line_about("not a run folder")
    run("decode", tmp_path / "no", "x").assert_one_line_about("no such folder")
    run("decode", tiny_run, "x", "--input", "y").assert_one_line_about("not both")
    run("decode", tiny_run, "--input", tmp_path / "no").assert_one_line_about("no: no such file")
    run("decode", tiny_run, "x", "--output", tmp_path / "no" / "out").assert_one_line_about("no")
    run("decode", tiny_run, "x", "--n-best", 9).assert_one_line_about("--beam-size 9")
    run("decode", tiny_run, "x", "--beam-size", 0).assert_one_line_about("--beam-size")
    run("decode", tiny_run, "caf\udce9").assert_one_line_about("is not UTF-8")
    run("attention", tmp_path).assert_one_line_about("not an attention folder")
    run("attention", tmp_path / "no.npz").assert_one_line_about("no.npz: no such file")
    run("attention", tmp_path, "--kind", "nonsense").assert_one_line_about("--kind", "cross")
    give_input(monkeypatch, b"\xff\n")
    run("decode", tiny_run).assert_one_line_about("standard input: line 1 is not UTF-8")


def test_attention_folder_never_overwrites_the_input(run, tiny_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    run("decode", tiny_run, "She sings.", "--attention", folder)
    mine = folder / "index.jsonl"
    before = mine.read_bytes()
    run("decode", tiny_run, "--input", mine, "--attention", folder).assert_one_line_about("in another folder")
    run("decode", tiny_run, "x", "--output", folder / "o", "--attention", folder).assert_one_line_about(
        "in another folder"
    )
    assert mine.read_bytes() == before


def linked(path: Path, how: str) -> Path:
    """The same file under another name."""
    if how == "same":
        return path
    other = path.with_name(f"{how}-{path.name}.png")
    other.unlink(missing_ok=True)
    if how == "hard":
        other.hardlink_to(path)
    else:
        other.symlink_to(path.name)
    return other


@pytest.mark.parametrize("how", ["same", "hard", "symbolic"])
def test_an_output_that_is_an_input_is_refused_and_left_alone(run, tiny_run: Path, tmp_path: Path, how: str) -> None:
    names = ("mine", "other", "o.partial", "o.partial.json")
    mine, other, *partial = (tmp_path / name for name in names)
    for number, path in enumerate((mine, other, *partial)):
        path.write_text(f"I love {number} apples.\n")
    copied, folder = tmp_path / "run", tmp_path / "maps"
    copied.mkdir()
    for name in "config.toml", "model.safetensors", "vocab.model":
        shutil.copy(tiny_run / name, copied)
    run("decode", copied, "She sings.", "--attention", folder)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    before = [path.read_bytes() for path in files]
    maps = folder / "000001.npz"
    commands = [
        ["decode", copied, "--input", linked(mine, how), "--output", mine],
        ["decode", copied, "--input", mine, "--output", linked(mine, how)],
        ["decode", copied, "--input", linked(partial[0], how), "--output", tmp_path / "o"],
        ["decode", copied, "--input", linked(partial[1], how), "--output", tmp_path / "o", "--resume"],
        ["decode", copied, "x", "--output", copied / "vocab.model"],
        ["decode", tiny_run, "x", "--ensemble", copied, "--output", copied / "config.toml"],
        ["evaluate", copied, "--src", mine, "--ref", other, "--output", linked(other, how)],
        ["evaluate", copied, "--src", mine, "--ref", other, "--output", copied / "model.safetensors"],
        ["attention", maps, "--html", linked(maps, how)],
        ["attention", folder, "--html", folder / "index.jsonl"],
        ["attention", folder, "--compare", folder, "--html", maps],
        ["align", copied, "--src", mine, "--tgt", other, "--png", linked(other, how)],
        ["align", folder, "--gold", mine, "--png", mine],
    ]
    for command in commands:
        run(*command).assert_one_line_about("would overwrite an input file; choose another file")
    assert [path.read_bytes() for path in files] == before


def test_sigterm_leaves_no_partial_files(tiny_run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "translate", "decode", str(tiny_run), "--output", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    while not list(tmp_path.iterdir()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["cuda", "mps", "tpu"])
def test_unavailable_device_is_reported_in_one_line(
    run, tiny_run: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    run("decode", tiny_run, "x", "--device", name).assert_one_line_about(f"--device {name}")


def test_internal_error_is_reported_as_a_bug(run, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("translate.commands.decode_io.load_translator", lambda *_: 1 / 0)
    outcome = run("decode", tiny_run, "x")
    assert outcome.status == 1
    assert "ZeroDivisionError" in outcome.errors
    assert "this is a bug in translate; please report it" in outcome.errors


def test_version_matches_the_package(run) -> None:
    assert run("--version").output == f"translate {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion_works(shell: str) -> None:
    words = {"COMP_WORDS": "translate ev", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "translate ev"}
    environment = os.environ | words | {"_TRANSLATE_COMPLETE": f"complete_{shell}"}
    if shell == "fish":
        environment["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    done = subprocess.run([sys.executable, "-m", "translate"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "evaluate" in done.stdout
    assert "train" not in done.stdout


def test_help_describes_each_command_in_one_line(run) -> None:
    listing = run("--help").output.partition("Commands:\n")[2].splitlines()
    assert len(listing) == len(typer.main.get_command(app).commands)
    assert all(line.endswith(".") and not line.endswith("...") for line in listing)


def test_closed_pipe_ends_the_command_quietly(tiny_run: Path) -> None:
    command = (
        f"yes 'The cat sat.' | head -3000 | {sys.executable} -m translate decode {tiny_run} --beam-size 1 | head -1"
    )
    command += '; exit "${PIPESTATUS[2]}"'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "rror" not in done.stderr


def test_score_prints_one_line_per_pair_and_totals(run, tiny_run: Path, corpus: Path, tmp_path: Path) -> None:
    files = "--src", corpus / "valid.en", "--tgt", corpus / "valid.fr"
    plain, told = run("score", tiny_run, *files), run("score", tiny_run, *files, "--json")
    objects = [json.loads(line) for line in told.output.splitlines()]
    targets = (corpus / "valid.fr").read_text("utf-8").splitlines()
    assert [each["target"] for each in objects] == targets
    for line, each in zip(plain.output.splitlines(), objects, strict=True):
        log_prob, perplexity, target = line.split("\t")
        assert target == each["target"]
        assert float(log_prob) == pytest.approx(sum(each["log_probs"]), abs=1e-3)
        assert float(perplexity) == pytest.approx(each["perplexity"], rel=1e-3)
        assert len(each["pieces"]) == len(each["log_probs"])
    assert f"{sum(len(each['pieces']) for each in objects):,} pieces" in plain.errors
    (tmp_path / "short.fr").write_text("Une ligne.\n", encoding="utf-8")
    shorter = run("score", tiny_run, "--src", corpus / "valid.en", "--tgt", tmp_path / "short.fr")
    assert shorter.status == 2
    assert "valid.en has 20 lines but" in shorter.errors


def test_decode_with_ctranslate2_and_export(run, tiny_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2")
    lines = ["I love apples.", "", "The cat sat on the mat."]
    ours = run("decode", tiny_run, *lines, "--beam-size", 1)
    theirs = run("decode", tiny_run, *lines, "--beam-size", 1, "--engine", "ctranslate2")
    assert theirs.output == ours.output
    assert "CTranslate2 float32" in theirs.errors
    maps = run("decode", tiny_run, *lines, "--engine", "ctranslate2", "--attention", tmp_path / "maps")
    assert maps.status == 0, maps.errors
    assert (tmp_path / "maps" / "000003.npz").exists()
    exported = run("export", tiny_run, "--format", "ctranslate2", tmp_path / "model", "--precision", "int8")
    assert exported.status == 0, exported.errors
    assert (tmp_path / "model" / "model.bin").exists()
    run("export", tiny_run, "--format", "onnx", tmp_path / "x", "--precision", "int8").assert_one_line_about("int8")
    refused = run("decode", tiny_run, "x", "--engine", "ctranslate2", "--require", "y")
    refused.assert_one_line_about("required terms", "--engine torch")


def test_a_dash_is_standard_input_and_output(
    run, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    give_input(monkeypatch, b"He runs.\n")
    piped = run("decode", tiny_run, "--input", "-", "--output", "-", "--beam-size", 1)
    assert piped.output == run("decode", tiny_run, "He runs.", "--beam-size", 1).output
    assert not [*tmp_path.iterdir()]
    run("decode", tiny_run, "x", "--input", "-").assert_one_line_about("pass either sentences or --input FILE")


def test_a_sentence_may_begin_with_a_dash(run, tiny_run: Path) -> None:
    run("decode", tiny_run, "-5 degrees").assert_one_line_about("write -- before sentences that begin with a dash")
    assert run("decode", tiny_run, "--beam-size", 1, "--", "-5 degrees", "--beam-size").output.count("\n") == 2


def test_a_program_that_waits_gets_each_translation_before_it_writes_the_next_line(tiny_run: Path) -> None:
    command = [sys.executable, "-m", "translate", "decode", str(tiny_run), "--device", "cpu"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin
    assert process.stdout
    watchdog = threading.Timer(60, process.kill)  # ends the reads below if a translation is held back
    watchdog.start()
    try:
        for line in b"I love apples.\n", b"The cat sat on the mat.\n":
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline().endswith(b"\n")
        process.stdin.close()
        assert (process.stdout.read(), process.wait()) == (b"", 0)
    finally:
        watchdog.cancel()
        process.kill()
