"""Damaged files: whoever reads one says so, or does without it; a wrong result never comes out."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from torturing.children import Command, run
from torturing.damage import damaged
from torturing.judgement import FindingError, Result, check_complaint, check_end, found
from torturing.run_state import differences, state_of
from torturing.stage import Stage, copy_run

GONE_SHARE = 0.05  # of the files are not damaged but missing


class Kind(NamedTuple):
    """A kind of file, where it lies in the trial's folder, and who reads it."""

    pattern: str
    weight: int  # of the trials
    read: Callable[[Stage, Path, Path], None]  # raises FindingError; given the stage, the trial's folder, the file


def trial(stage: Stage, folder: Path, rng: random.Random) -> Result:
    """Damage a file, now and then two of a kind, and use it. Raises FindingError."""
    kind = rng.choices(KINDS, [kind.weight for kind in KINDS])[0]
    copy_run(stage.run, folder / "run")
    shutil.copytree(stage.maps, folder / "maps")
    files = sorted(path for path in folder.glob(kind.pattern) if path.is_file())
    if not files:
        return Result(0)  # nothing of that kind here
    harmed = rng.sample(files, 2 if len(files) > 1 and rng.random() < 0.1 else 1)
    for path in harmed:
        if rng.random() < GONE_SHARE:
            path.unlink()
        else:
            path.write_bytes(damaged(path.read_bytes(), rng))
    try:
        kind.read(stage, folder, harmed[0])
    except FindingError as finding:
        names = ", ".join(str(path.relative_to(folder)) for path in harmed)
        raise FindingError(f"{names} damaged: {finding}") from None
    return Result(len(harmed))


def _resume(stage: Stage, folder: Path, path: Path) -> None:
    """Train on: an error that names the run, or the weights of a training whose files were sound."""
    copy = folder / "run"
    ended = run(stage.go_further(copy), folder)
    check_end(ended)
    if ended.status == 2:
        check_complaint(ended, str(copy))
        return
    if other := differences(state_of(copy, with_metrics=False), stage.further):
        raise found(ended, f"trained on to other weights: {', '.join(other[:3])}")


def _decode(stage: Stage, folder: Path, path: Path) -> None:
    _same_output(stage, folder, path, stage.decodings[-1].options)


def _decode_by_ctranslate2(stage: Stage, folder: Path, path: Path) -> None:
    _same_output(stage, folder, path, ("--engine", "ctranslate2"))


def _same_output(stage: Stage, folder: Path, path: Path, options: tuple[str, ...]) -> None:
    """Translate: an error that names the file, and no output; or the output of the sound files."""
    output = folder / "output"
    ended = run(stage.decode(folder / "run", output, options), folder)
    check_end(ended)
    if ended.status == 2:
        # Not the very file where what is missing or damaged is noticed by another.
        check_complaint(ended, str(folder / "run"))
        if output.exists():
            raise found(ended, "an error, but output as well")
        return
    expected = (stage.folder / "ctranslate2").read_bytes() if "--engine" in options else stage.decodings[-1].output
    if output.read_bytes() != expected:
        raise found(ended, "other translations")


def _use_config(stage: Stage, folder: Path, path: Path) -> None:
    """Settings are the user's to change: whatever they are now, the end is one of those documented."""
    check_end(run(stage.decode(folder / "run", folder / "output", ()), folder))


def _show_maps(stage: Stage, folder: Path, path: Path) -> None:
    """Show, and summarize, maps: an error that names the folder, or what the sound files show."""
    number = path.stem.lstrip("0") if path.suffix == ".npz" else "2"
    for arguments in ("attention", "show", "{}", "--sentence", number), ("attention", "roles", "{}", "--json"):
        sound = run(_of_maps(arguments, stage.maps), folder)
        check_end(sound, statuses=(0,))
        ended = run(_of_maps(arguments, folder / "maps"), folder)
        check_end(ended)
        if ended.status == 2:
            check_complaint(ended, str(folder / "maps"))
        elif ended.stdout != sound.stdout:
            raise found(ended, "other maps")


def _of_maps(arguments: tuple[str, ...], maps: Path) -> Command:
    return Command(tuple(argument.format(maps) for argument in arguments))


def _align(stage: Stage, folder: Path, path: Path) -> None:
    """Align words in the way that the run stored: an error that names the file, or the links of the sound file."""
    text = ("--src", str(stage.source), "--tgt", str(stage.target), "--device", "cpu")
    sound = run(Command(("align", str(stage.run), *text)), folder)
    check_end(sound, statuses=(0,))
    ended = run(Command(("align", str(folder / "run"), *text)), folder)
    check_end(ended)
    if ended.status == 2:
        check_complaint(ended, str(folder / "run"))
    elif path.exists() and ended.stdout != sound.stdout:  # without the file the default way is the right one
        raise found(ended, "other links")


KINDS = (
    Kind("run/checkpoints/*/*", 8, _resume),
    Kind("run/corpus/*", 4, _resume),
    Kind("run/vocab.model", 1, _resume),
    Kind("run/model.safetensors", 3, _decode),
    Kind("run/vocab.model", 2, _decode),
    Kind("run/metrics.jsonl", 1, _resume),
    Kind("run/config.toml", 1, _use_config),
    Kind("maps/*.npz", 3, _show_maps),
    Kind("maps/*.json*", 2, _show_maps),
    Kind("run/alignment.json", 2, _align),
    Kind("run/*ctranslate2*/**/*", 3, _decode_by_ctranslate2),
)
