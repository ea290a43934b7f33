"""The baseline of the crash tests: tiny training and decoding commands, and their results without a crash."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crash_testing.commands import ROOT, Ended, check_end, run
from crash_testing.run_state import differences, state_of

TOY = ROOT / "data" / "toy"
NUM_LINES = {"train": 90, "valid": 8, "test": 60}
TINY = """
    vocab.size=340 model.d_model=16 model.d_ff=32 model.num_heads=2 model.num_encoder_layers=1
    model.num_decoder_layers=1 model.dropout=0.1 train.batch_tokens=256 train.accumulate=2 train.ema_decay=0.8
    train.learning_rate=0.01 train.warmup_steps=5 train.schedule=inverse_sqrt train.max_steps=16
    train.validate_every=8 train.validate_sentences=2 train.snapshot_sentences=1 train.save_every=2
    train.keep_checkpoints=3 train.log_every=1 train.precision=float32 decode.batch_tokens=64 decode.beam_size=2
    decode.max_length_ratio=1.0 decode.min_length=6 decode.no_repeat_ngram=1
"""
VARIANTS = {
    "dropout": "vocab.dropout=0.1 model.attention_dropout=0.1",
    "guided": "vocab.joint=false data.valid_pairs=4 model.norm=post model.tie_embeddings=false train.save_every=1",
    "sparse": "vocab.algorithm=unigram model.num_decoder_layers=2 train.best_by=chrf train.keep_checkpoints=1 "
    "train.save_every=3 train.schedule=cosine",
}
DECODINGS: tuple[tuple[str, ...], ...] = (("--json",), ("--n-best", "2"), ())


@dataclass(frozen=True)
class Training:
    """A training command and its undisturbed result."""

    name: str
    options: tuple[str, ...]  # without --out and --resume
    run: Path
    seconds: float
    state: Mapping[str, str]

    def next_command(self, run: Path) -> tuple[str, ...]:
        """Return the command that a user gives: with --resume if there is a run to resume."""
        resume = ("--resume",) if (run / "config.toml").exists() else ()
        return ("train", *self.options, "--out", str(run), "--device", "cpu", *resume)

    def check_resumes(self, path: Path, what: str) -> None:
        """Train `path` to its end. what: the disturbance. Raises FindingError unless the result is the same.

        The run folder must not contain partial files of a process that died.
        """
        ended = run(self.next_command(path), path.parents[1] / "log")
        check_end(ended, (0,))
        if other := differences(state_of(path), self.state):
            raise ended.finding(f"{self.name}: different after {what}: {', '.join(other[:4])}")
        if litter := sorted(str(each.relative_to(path)) for each in path.rglob("*.partial")):
            raise ended.finding(f"{self.name}: left in the run folder: {', '.join(litter[:4])}")


@dataclass(frozen=True)
class Decoding:
    """A command that decodes the test text, and its undisturbed output."""

    arguments: tuple[str, ...]  # without --output and --resume
    seconds: float
    output: bytes


@dataclass(frozen=True)
class Baseline:
    """All undisturbed results."""

    trainings: tuple[Training, ...]
    decodings: tuple[Decoding, ...]


def make_baseline(folder: Path, num_variants: int) -> Baseline:
    """Write the texts and run all commands undisturbed. Raises FindingError if one fails."""
    for part, count in NUM_LINES.items():
        for ending in "en", "fr", "align":
            with (TOY / f"{part}.{ending}").open(encoding="utf-8") as lines:
                (folder / f"{part}.{ending}").write_text("".join(itertools.islice(lines, count)), encoding="utf-8")
    trainings = tuple(_train(folder, name) for name in itertools.islice(VARIANTS, num_variants))
    decodings = tuple(_decode(folder, trainings[0].run, options) for options in DECODINGS[:num_variants])
    return Baseline(trainings, decodings)


def _train(folder: Path, name: str) -> Training:
    files = {"--src": "train.en", "--tgt": "train.fr"}
    files |= {"--align": "train.align"} if name == "guided" else {"--valid-src": "valid.en", "--valid-tgt": "valid.fr"}
    options = [word for option, file in files.items() for word in (option, str(folder / file))]
    options += [word for setting in (*TINY.split(), *VARIANTS[name].split()) for word in ("--set", setting)]
    path = folder / f"run-{name}"
    training = Training(name, tuple(options), path, 0.0, {})
    ended = _undisturbed(training.next_command(path), folder)
    return Training(name, tuple(options), path, ended.seconds, state_of(path))


def _decode(folder: Path, path: Path, options: tuple[str, ...]) -> Decoding:
    output = folder / "output"
    arguments = ("decode", str(path), "--input", str(folder / "test.en"), "--device", "cpu", *options)
    ended = _undisturbed((*arguments, "--output", str(output)), folder)
    return Decoding(arguments, ended.seconds, output.read_bytes())


def _undisturbed(arguments: tuple[str, ...], folder: Path) -> Ended:
    ended = run(arguments, folder / "log")
    check_end(ended, (0,))
    return ended
