"""What the trials harm, made once: texts, tiny runs, and what becomes of each where nothing happens to it."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torturing.children import ROOT, Command, Ended, run
from torturing.disk_faults import CALLS, Call
from torturing.faults import count_calls
from torturing.judgement import check_end
from torturing.run_state import state_of

TOY = ROOT / "data" / "toy"
MORE_STEPS = 3  # that a finished training is resumed for, to see whether its files are sound
NUM_LINES = {"train": 90, "valid": 8, "test": 60}

TINY: Mapping[str, object] = {
    "vocab.size": 340,
    "model.d_model": 16,
    "model.d_ff": 32,
    "model.num_heads": 2,
    "model.num_encoder_layers": 1,
    "model.num_decoder_layers": 1,
    "model.dropout": 0.1,
    "train.batch_tokens": 256,
    "train.accumulate": 2,
    "train.ema_decay": 0.8,
    "train.learning_rate": 0.01,
    "train.warmup_steps": 5,
    "train.schedule": "inverse_sqrt",  # of which more steps do not change those before
    "train.max_steps": 16,
    "train.validate_every": 8,
    "train.validate_sentences": 2,
    "train.snapshot_sentences": 1,
    "train.save_every": 2,
    "train.keep_checkpoints": 3,
    "train.log_every": 1,
    "train.precision": "float32",
    "decode.batch_tokens": 64,
    "decode.beam_size": 2,
    "decode.max_length_ratio": 1.0,
    "decode.min_length": 6,
    "decode.no_repeat_ngram": 1,
}
VARIANTS: Mapping[str, Mapping[str, object]] = {
    "everything": {"vocab.dropout": 0.1, "model.attention_dropout": 0.1},
    "guided": {
        "vocab.joint": False,
        "data.train_align": "train.align",
        "data.valid_pairs": 4,
        "model.norm": "post",
        "model.tie_embeddings": False,
        "train.save_every": 1,
    },
    "sparse": {
        "vocab.algorithm": "unigram",
        "model.num_decoder_layers": 2,
        "train.best_by": "chrf",
        "train.keep_checkpoints": 1,
        "train.save_every": 3,
        "train.schedule": "cosine",
    },
}
DECODINGS: tuple[tuple[str, ...], ...] = ((), ("--n-best", "2"), ("--json",))


@dataclass(frozen=True)
class Training:
    """A training, and how it ends undisturbed."""

    name: str
    arguments: tuple[str, ...]  # all but --out and --resume
    run: Path
    seconds: float
    calls: Counter[Call]  # that change files, by their kind
    state: Mapping[str, str]

    def command(self, run: Path, resume: bool) -> Command:
        """To train into a folder, or to go on with it."""
        return Command(("train", *self.arguments, "--out", str(run), "--device", "cpu", *["--resume"] * resume))


@dataclass(frozen=True)
class Decoding:
    """A decoding of the stage's input, and what it writes undisturbed."""

    options: tuple[str, ...]
    seconds: float
    calls: Counter[Call]
    output: bytes


@dataclass(frozen=True)
class Stage:
    """All that trials start from. They copy what they harm."""

    folder: Path
    trainings: tuple[Training, ...]  # the first one's run is what files are harmed of
    decodings: tuple[Decoding, ...]
    further: Mapping[str, str]  # the state of the first run after MORE_STEPS

    @property
    def source(self) -> Path:
        """A text to translate."""
        return self.folder / "test.en"

    @property
    def target(self) -> Path:
        """Its translation."""
        return self.folder / "test.fr"

    @property
    def run(self) -> Path:
        """A finished run."""
        return self.trainings[0].run

    @property
    def maps(self) -> Path:
        """An attention folder of that run."""
        return self.folder / "maps"

    def decode(self, run: Path, output: Path, options: tuple[str, ...]) -> Command:
        """To translate the text into a file."""
        files = ("--input", str(self.source), "--output", str(output))
        return Command(("decode", str(run), *files, "--device", "cpu", *options))

    def go_further(self, run: Path) -> Command:
        """To resume a copy of the finished run for MORE_STEPS."""
        steps = int(str(TINY["train.max_steps"])) + MORE_STEPS
        more = ("--set", f"train.max_steps={steps}")
        return Command(("train", "--resume", "--out", str(run), "--device", "cpu", *more))


def prepare_stage(folder: Path, num_variants: int) -> Stage:
    """Write the texts and run each command undisturbed. Raises FindingError where that alone goes wrong."""
    for part, count in NUM_LINES.items():
        for ending in "en", "fr", "align":
            with (TOY / f"{part}.{ending}").open(encoding="utf-8") as lines:
                (folder / f"{part}.{ending}").write_text("".join(itertools.islice(lines, count)), encoding="utf-8")
    trainings = tuple(_training(folder, name) for name in itertools.islice(VARIANTS, num_variants))
    stage = Stage(folder, trainings, (), {})
    _make_extras(stage)
    stage = Stage(folder, trainings, tuple(_decoding(stage, options) for options in DECODINGS), {})
    copy = folder / "further"
    copy_run(stage.run, copy)
    _sound(stage.go_further(copy), folder)
    return Stage(folder, trainings, stage.decodings, state_of(copy, with_metrics=False))


def copy_run(run: Path, copy: Path) -> None:
    """What training and decoding read of a run; without pictures and pages."""
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("snapshots", "*.png"))


def settings_arguments(settings: Mapping[str, object]) -> tuple[str, ...]:
    """Settings as options of a command."""
    pairs = ((name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in settings.items())
    return tuple(itertools.chain.from_iterable(("--set", f"{name}={value}") for name, value in pairs))


def _training(folder: Path, name: str) -> Training:
    settings = {**TINY, **VARIANTS[name]}
    files = {"--src": "train.en", "--tgt": "train.fr"}
    if not settings.pop("data.train_align", None):
        files |= {"--valid-src": "valid.en", "--valid-tgt": "valid.fr"}
    else:
        files |= {"--align": "train.align"}
    options = itertools.chain.from_iterable((option, str(folder / file)) for option, file in files.items())
    run = folder / f"run-{name}"
    training = Training(name, (*options, *settings_arguments(settings)), run, 0.0, Counter(), {})
    notes = folder / "calls"
    ended = _sound(replace(training.command(run, resume=False), around=partial(_counting, notes)), folder)
    return replace(training, seconds=ended.seconds, calls=_kinds(notes), state=state_of(run))


def _decoding(stage: Stage, options: tuple[str, ...]) -> Decoding:
    output, notes = stage.folder / "oracle", stage.folder / "calls"
    plain = stage.decode(stage.run, output, options)
    ended = _sound(replace(plain, around=partial(_counting, notes)), stage.folder)
    return Decoding(options, ended.seconds, _kinds(notes), output.read_bytes())


def _kinds(notes: Path) -> Counter[Call]:
    """How many calls of each kind there were."""
    kinds: dict[str, Call] = {"fsync": "sync", "replace": "rename", **{call: call for call in CALLS}}
    words = (line.partition(" ")[0] for line in notes.read_text().splitlines())
    return Counter(kinds[word] for word in words if word in kinds)


def _make_extras(stage: Stage) -> None:
    """What a run has only after other commands than training: maps, a way to align, a model of CTranslate2."""
    first_lines = stage.folder / "first.en"
    first_lines.write_text("".join(stage.source.read_text().splitlines(keepends=True)[:6]), encoding="utf-8")
    run = str(stage.run)
    _sound(
        Command(("decode", run, "--input", str(first_lines), "--attention", str(stage.maps), "--device", "cpu")),
        stage.folder,
    )
    text = ("--src", str(stage.source), "--tgt", str(stage.target), "--gold", str(stage.folder / "test.align"))
    _sound(Command(("align", run, *text, "--store", run, "--device", "cpu")), stage.folder)
    if has_ctranslate2():
        _sound(stage.decode(stage.run, stage.folder / "ctranslate2", ("--engine", "ctranslate2")), stage.folder)


def has_ctranslate2() -> bool:
    """Whether the package is installed."""
    from importlib.util import find_spec

    return find_spec("ctranslate2") is not None


@contextmanager
def _counting(notes: Path) -> Iterator[None]:
    """In a child: write to a file, a call a line, what changed files."""
    calls = count_calls()
    try:
        yield
    finally:
        noted = tuple(calls)  # before this writing is noted as well
        notes.write_text("".join(f"{call}\n" for call in noted))


def _sound(command: Command, folder: Path) -> Ended:
    ended = run(command, folder / "log")
    check_end(ended, statuses=(0,))
    return ended
