"""Odd texts and settings through every door: each command ends as documented, with a line out for a line in."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from pathlib import Path

from torturing.children import Command, Ended, run
from torturing.judgement import FindingError, Result, check_end, found
from torturing.odd_texts import odd_archive, odd_overrides, odd_settings, odd_table, odd_text
from torturing.stage import TINY, Stage, settings_arguments

PEAK = 3 * 2**30  # bytes that a command may hold at most for such inputs
QUICK: Mapping[str, object] = {
    **TINY,
    "vocab.size": 900,
    "train.max_steps": 2,
    "train.accumulate": 1,
    "train.validate_sentences": 1,
    "train.snapshot_sentences": 0,
    "data.max_pieces": 64,
}


def trial(stage: Stage, folder: Path, rng: random.Random) -> Result:
    """One odd file, or two that belong together, through one command. Raises FindingError."""
    return rng.choices((_decode, _check_text, _train, _configure), (12, 4, 3, 3))[0](stage, folder, rng)


def _decode(stage: Stage, folder: Path, rng: random.Random) -> Result:
    """As a file or from standard input, to a file or to standard output."""
    content = odd_text(rng)
    packed = rng.random() < 0.1
    path, output = folder / ("input.gz" if packed else "input"), folder / "output"
    path.write_bytes(odd_archive(rng, content) if packed else content)
    from_file, to_file, options = packed or rng.random() < 0.7, rng.random() < 0.7, rng.choice(((), (), ("--json",)))
    arguments = ["decode", str(stage.run), "--device", "cpu", *options]
    arguments += ["--input", str(path)] * from_file + ["--output", str(output)] * to_file
    ended = run(Command(tuple(arguments), stdin=None if from_file else path), folder)
    _check(ended, folder, "standard input" if not from_file else str(path))
    if ended.status == 0 and not packed:
        num_in = content.count(b"\n") + (not content.endswith(b"\n") and bool(content))
        num_out = (output.read_bytes() if to_file else ended.stdout).count(b"\n")
        if num_in != num_out:
            raise found(ended, f"{num_in} lines in, {num_out} lines out")
    return Result(1)


def _check_text(stage: Stage, folder: Path, rng: random.Random) -> Result:
    """`translate check` of a corpus."""
    files, num_files = _corpus(stage, folder, rng)
    options = rng.choice(((), ("--json",)))
    _check(run(Command(("check", *files, *options)), folder), folder)
    return Result(num_files)


def _train(stage: Stage, folder: Path, rng: random.Random) -> Result:
    """Two steps on a corpus; where there are none, no run folder may be in the way of the next try."""
    files, num_files = _corpus(stage, folder, rng)
    command = ("train", *files, *settings_arguments(QUICK), "--out", str(folder / "run"), "--device", "cpu")
    _check_training(run(Command(command), folder), folder)
    return Result(num_files)


def _configure(stage: Stage, folder: Path, rng: random.Random) -> Result:
    """Settings from a file or from arguments."""
    text = ("--src", str(stage.folder / "train.en"), "--tgt", str(stage.folder / "train.fr"))
    if rng.random() < 0.6:
        path = folder / "settings.toml"
        path.write_bytes(odd_settings(rng))
        settings: tuple[str, ...] = (str(path),)
    else:
        settings = tuple(itertools.chain.from_iterable(("--set", each) for each in odd_overrides(rng)))
    dry = rng.choice((("--dry-run",), ("--out", str(folder / "run"))))
    quick = settings_arguments({name: QUICK[name] for name in ("train.max_steps", "train.snapshot_sentences")})
    ended = run(Command(("train", *settings, *text, *quick, *dry, "--device", "cpu")), folder)
    _check_training(ended, folder)
    return Result(1)


def _corpus(stage: Stage, folder: Path, rng: random.Random) -> tuple[tuple[str, ...], int]:
    """Options that name two sides, one or both odd, and how many odd files there are."""
    if rng.random() < 0.2:
        path = folder / "both.tsv"
        path.write_bytes(odd_table(rng, num_lines=rng.choice((1, 5, 60))))
        return ("--src", str(path), "--tgt", str(path)), 1
    if rng.random() < 0.2:
        path = folder / "src.gz"
        path.write_bytes(odd_archive(rng, (stage.folder / "train.en").read_bytes()))
        return ("--src", str(path), "--tgt", str(stage.folder / "train.fr")), 1
    src, tgt = folder / "src", folder / "tgt"
    src.write_bytes(odd_text(rng))
    # A text of as many lines, or any other one.
    tgt.write_bytes(rng.choice((src.read_bytes, lambda: odd_text(rng), (stage.folder / "train.fr").read_bytes))())
    return ("--src", str(src), "--tgt", str(tgt)), 2


def _check(ended: Ended, folder: Path, *names: str) -> None:
    check_end(ended, peak=PEAK)
    if ended.status == 2 and names and not any(name in ended.errors[0] for name in names):
        raise found(ended, f"a complaint that does not name {names[0]}")
    if litter := sorted(str(path.relative_to(folder)) for path in folder.rglob("*.partial")):
        raise FindingError(f"left behind: {', '.join(litter)}, by {ended.command}")


def _check_training(ended: Ended, folder: Path) -> None:
    _check(ended, folder)
    run_folder = folder / "run"
    if ended.status == 2 and (run_folder / "config.toml").exists() and not (run_folder / "metrics.jsonl").exists():
        raise found(ended, "a run folder is left in which nothing was trained")
    if ended.status == 0 and run_folder.exists() and not (run_folder / "model.safetensors").exists():
        raise found(ended, "trained, and no weights")
