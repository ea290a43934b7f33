"""`scripts/bench gpu`: training, decoding and their correctness on a GPU in one command of bounded time.

Each part runs in a process of its own with a time limit, and writes its result when it ends, so that a part that hangs
or fails costs no other. Parts are ordered by importance; those for which no time is left are skipped.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.child import in_child
from benchmarks.decoding import TEST_PART, DecodeJob
from benchmarks.gpu_checks import CheckJob
from benchmarks.report import Report, device_words, markdown_table, versions
from benchmarks.work import SRC, TGT, Job, Work, lay_out, say, text_path, write_lines
from translate.config.settings import Config
from translate.data.readers.lines import read_lines
from translate.errors import UserError
from translate.evaluation.metrics import score

PACKAGES = {"ours": "translate", "huggingface": "transformers", "ctranslate2": "ctranslate2", "joeynmt": "joeynmt"}
Texts = Mapping[str, tuple[Sequence[str], Sequence[str]]]  # lines of both sides of train, valid and test
TIMES = 3  # repetitions of the test text, so that a start-up or capture of graphs weighs as little as in a large file
NUM_VALID_LINES, NUM_TOY_LINES = 500, 50
MIN_SECONDS = 5.0  # a part with less time left is skipped

SMALL = {"d_model": 128, "d_ff": 384, "num_heads": 4, "num_encoder_layers": 4, "num_decoder_layers": 4}
MEDIUM = {"d_model": 256, "d_ff": 1024, "num_heads": 4, "num_encoder_layers": 3, "num_decoder_layers": 3}
BASE = {"d_model": 512, "d_ff": 2048, "num_heads": 8, "num_encoder_layers": 6, "num_decoder_layers": 6}
TINY = {"d_model": 16, "d_ff": 32, "num_heads": 2, "num_encoder_layers": 1, "num_decoder_layers": 1}


class Size(NamedTuple):
    """A model with the pieces of its batches."""

    model: Mapping[str, int]
    batch_tokens: int


@dataclass(frozen=True)
class Plan:
    """What to measure, and for how long."""

    systems: Sequence[str]
    device: str
    threads: int
    max_seconds: float  # of all parts together
    precision: str = "bfloat16"  # of training and decoding
    sizes: Mapping[str, Size] = field(
        default_factory=lambda: {"small": Size(SMALL, 4096), "medium": Size(MEDIUM, 4096), "base": Size(BASE, 25_000)}
    )
    beam_sizes: Sequence[int] = (5, 1)
    vocab_size: int = 8000
    peak_size: int = 8192  # rows and columns of the product whose speed is the peak
    learning_steps: int = 600
    check_steps: int = 20
    warm_up: int = 200  # our updates before the clock starts; most batch shapes have their graph then
    steps: int = 100


def quick(plan: Plan) -> Plan:
    """Return the plan for the same parts with tiny sizes, which tests the benchmark on a CPU in seconds."""
    return replace(
        plan,
        precision="float32",
        sizes={"tiny": Size(TINY, 256)},
        beam_sizes=(2,),
        vocab_size=400,
        peak_size=32,
        learning_steps=6,
        check_steps=4,
        warm_up=1,
        steps=2,
    )


class Part(NamedTuple):
    """A part of the benchmark: tasks for `in_child`, of which the last one returns the figures."""

    name: str
    tasks: Sequence[tuple[str, Job]]
    max_seconds: float


class Outcome(NamedTuple):
    """The figures of a part, or why there are none."""

    name: str
    figures: dict[str, Any]
    error: str = ""


def measure(plan: Plan, folder: Path, texts: Texts, out: Path) -> Report:
    """Run all parts. out: file to which results are added as they come."""
    started = time.monotonic()
    config = _prepare(plan, folder, texts)
    outcomes = []
    out.parent.mkdir(parents=True, exist_ok=True)
    for name, tasks, max_seconds in parts(plan, folder, config):
        left = plan.max_seconds - (time.monotonic() - started)
        outcome = Outcome(name, {}, "skipped: the time of the benchmark is over")
        if left > MIN_SECONDS:
            outcome = _outcome(name, tasks, min(left, max_seconds))
        if "translations" in outcome.figures:
            references = list(texts["test"][1]) * TIMES
            outcome.figures["bleu"] = score(outcome.figures.pop("translations"), [references])["bleu"].value
        outcomes.append(outcome)
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(outcome._asdict()) + "\n")
        say(f"{name}: {outcome.error or _summary(outcome.figures)}")
    return report(plan, outcomes)


def multi30k(data: Path) -> Texts:
    """Return the texts of Multi30k. Raises UserError if they are missing."""
    names = {"train": "train", "valid": "val", "test": TEST_PART}
    sides = {
        part: [list(read_lines(text_path(data, f"{name}.{side}"))) for side in (SRC, TGT)]
        for part, name in names.items()
    }
    return {part: (src, tgt) for part, (src, tgt) in sides.items()}


def toy_text(folder: Path) -> Texts:
    """Return some lines of the toy text, for `quick`."""
    sides = [list(itertools.islice(read_lines(folder / f"train.{side}"), NUM_TOY_LINES)) for side in ("en", "fr")]
    return dict.fromkeys(("train", "valid", "test"), (sides[0], sides[1]))


def parts(plan: Plan, folder: Path, config: Config) -> Iterator[Part]:
    """Yield all parts, the most important first."""
    fixed: dict[str, Any] = {"folder": folder, "device": plan.device, "threads": plan.threads}
    run = folder / "run"
    middle = list(plan.sizes)[len(plan.sizes) // 2]

    def check(name: str, config: Config, steps: int, max_seconds: float) -> Part:
        return Part(name, [(f"gpu_checks.{name}", CheckJob(**fixed, config=config, run=run, steps=steps))], max_seconds)

    def train(system: str, size: str, precision: str, max_seconds: float) -> Part:
        warm_up = plan.warm_up if system == "ours" else min(plan.warm_up, 30)
        work = Work(**fixed, config=_sized(config, plan.sizes[size], precision), warm_up=warm_up, steps=plan.steps)
        return Part(f"train {system} {size} {precision}", [(f"{system}.train", work)], max_seconds)

    def decode(system: str, module: str, precision: str, beam_size: int, max_seconds: float) -> Part:
        model = folder / f"{system}-model"
        job = DecodeJob(
            **fixed,
            system=system,
            run=run,
            source=folder / f"test.{SRC}",
            model=model,
            precision=precision,
            beam_size=beam_size,
        )
        tasks: list[tuple[str, Job]] = [(f"{module}.decode", job)]
        if module != "ours" and beam_size == plan.beam_sizes[0]:
            tasks.insert(0, (f"{module}.export", job.model_copy(update={"precision": "float32"})))
        return Part(f"decode {system} beam {beam_size} {precision}", tasks, max_seconds)

    medium = _sized(config, plan.sizes[middle], plan.precision)
    yield check("peak", medium, plan.peak_size, 40)
    yield check("learn", medium, plan.learning_steps, 90)
    yield from (train("ours", size, plan.precision, 60) for size in plan.sizes)
    yield check("maps", medium, 0, 40)
    yield check("search", medium, 0, 40)
    yield check("curve", medium, plan.check_steps, 60)
    yield check("resume", medium, plan.check_steps, 45)
    yield from (decode("ours", "ours", plan.precision, beam_size, 45) for beam_size in plan.beam_sizes)
    if "huggingface" in plan.systems:
        yield from (train("huggingface", size, plan.precision, 45) for size in plan.sizes)
        for beam_size in plan.beam_sizes:
            yield decode("huggingface", "huggingface_decoding", plan.precision, beam_size, 60)
    if "ctranslate2" in plan.systems:
        half = "float16" if plan.device == "cuda" else "float32"
        yield from (decode("ctranslate2", "ctranslate2_decoding", half, beam, 30) for beam in plan.beam_sizes)
    if "joeynmt" in plan.systems:
        yield from (train("joeynmt", size, "float32", 45) for size in plan.sizes)
    # Last, because the compilation may take all the time that is left.
    unlimited = medium.model_copy(update={"train": medium.train.model_copy(update={"max_minutes": 0.0})})
    work = Work(**fixed, config=unlimited, warm_up=plan.warm_up, steps=plan.steps)
    yield Part(f"train ours {middle} {plan.precision}, compiled if faster", [("ours.train", work)], 170)


def report(plan: Plan, outcomes: Sequence[Outcome]) -> Report:
    """Return the outcomes as three tables and as JSON objects."""
    card = next((each.figures for each in outcomes if each.name == "peak" and not each.error), None)
    rate = card["products_gflops"] if card else float("nan")
    lines = [f"One large product: {rate / 1000:,.1f} TFLOP/s ({plan.precision}), here the peak of the card.", ""]
    lines += [_table(TRAINING, outcomes, "train ", rate), "", _table(DECODING, outcomes, "decode ", rate), ""]
    checks = [each for each in outcomes if not each.name.startswith(("train ", "decode "))]
    lines += [f"- {each.name}: {each.error or _summary(each.figures)}" for each in checks]
    objects = [each._asdict() | {"device": plan.device} for each in outcomes]
    title = f"Training and decoding on {device_words(plan.device)}: all parts of `scripts/bench gpu`"
    used = versions("torch", *(PACKAGES[system] for system in plan.systems if system != "ours"))
    return Report(title, "\n".join(lines), objects, used, card["device_name"] if card else "")


Cells = Mapping[str, Callable[[dict[str, Any], float], str]]  # heading -> cell, from a part's figures and the peak
TRAINING: Cells = {
    "parameters": lambda figures, _: f"{figures['parameters']:,}",
    "target tokens/s": lambda figures, _: f"{figures['tokens_per_second']:,.0f}",
    "ms per step": lambda figures, _: f"{1000 / figures['updates_per_second']:.1f}",
    "of its products' speed": lambda figures, _: f"{figures['peak_share']:.1%}",
    "of the card's peak": lambda figures, peak: f"{figures['peak_share'] * figures['products_gflops'] / peak:.1%}",
    "memory": lambda figures, _: f"{figures['peak_memory_bytes'] / 1e9:.2f} GB",
}
DECODING: Cells = {
    "sentences/s": lambda figures, _: f"{figures['sentences_per_second']:,.1f}",
    "BLEU": lambda figures, _: f"{figures['bleu']:.2f}",
    "memory": lambda figures, _: f"{figures['peak_memory_bytes'] / 1e9:.2f} GB",
}


def _table(cells: Cells, outcomes: Sequence[Outcome], prefix: str, peak: float) -> str:
    rows = []
    for name, figures, error in outcomes:
        if name.startswith(prefix):
            found = [error, *[""] * (len(cells) - 1)] if error else [cell(figures, peak) for cell in cells.values()]
            rows.append([name.removeprefix(prefix), *found])
    return markdown_table([prefix.strip(), *cells], rows)


def _prepare(plan: Plan, folder: Path, texts: Texts) -> Config:
    """Write the texts and the vocabulary. Returns the settings of all parts, without the model's sizes."""
    tables = {"vocab": {"size": plan.vocab_size}, "train": {"learning_rate": 2e-3, "warmup_steps": 200}}
    valid = tuple(side[:NUM_VALID_LINES] for side in texts["valid"])
    config = lay_out(folder, {"train": texts["train"], "valid": (valid[0], valid[1])}, Config.model_validate(tables))
    for language, lines in zip((SRC, TGT), texts["test"], strict=True):
        write_lines(folder / f"test.{language}", itertools.chain.from_iterable(itertools.repeat(lines, TIMES)))
    return config


def _sized(config: Config, size: Size, precision: str) -> Config:
    tables = config.model_dump()
    tables["model"] |= {**size.model, "positions": "sinusoidal"}  # Transformers has no others
    tables["train"] |= {"batch_tokens": size.batch_tokens, "precision": precision, "max_minutes": 10}  # not compiled
    return Config.model_validate(tables)


def _outcome(name: str, tasks: Sequence[tuple[str, Job]], max_seconds: float) -> Outcome:
    started, figures = time.monotonic(), dict[str, Any]()
    try:
        for task, job in tasks:
            left = max_seconds - (time.monotonic() - started)
            figures = in_child(task, job, max(left, 1.0)) or {}
    except UserError as error:
        return Outcome(name, {}, str(error).splitlines()[-1] if "last lines" in str(error) else str(error))
    return Outcome(name, figures | {"seconds_in_all": round(time.monotonic() - started, 1)})


def _summary(figures: Mapping[str, Any]) -> str:
    """Return the figures as text, without nested ones."""
    return ", ".join(
        f"{name.replace('_', ' ')} {f'{value:,.5g}' if isinstance(value, float) else value}"
        for name, value in figures.items()
        if not isinstance(value, dict | list)
    )
