"""Checks of training and attention on a GPU against the CPU. Each runs in a process of its own."""

from __future__ import annotations

import itertools
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from benchmarks.products import Product, products_alone
from benchmarks.report import gpu_name
from benchmarks.work import SRC, TGT, Job
from translate.api import load_translator
from translate.attention.extract import PiecePair, attention_maps, engine_of
from translate.config.limits import LARGEST
from translate.config.settings import Config
from translate.data.readers.lines import read_lines
from translate.decoding.line_translator import LineTranslator
from translate.run.folder import Run
from translate.system.device import pick_device
from translate.training.checkpoint import MODEL, step_folders
from translate.training.loop import train

NUM_PAIRS, NUM_LINES = 32, 100  # sentence pairs whose maps are compared, and lines whose translations are
Floats = npt.NDArray[np.float32]


class CheckJob(Job):
    """A check. `config` has the text, the sizes and the precision; the test text is `folder`/test.*."""

    config: Config
    run: Path  # the run that `learn` trains and `maps` reads
    steps: int  # of each training


@dataclass(frozen=True)
class Peak:
    """Speed of one large matrix product."""

    products_gflops: float
    device_name: str


@dataclass(frozen=True)
class Learned:
    """A training by the loop of `translate train`, with its start, its graphs and one validation."""

    steps: int
    seconds: float
    train_loss: float
    valid_loss: float
    method: str  # lines of the log that name the method of computing steps


@dataclass(frozen=True)
class Curve:
    """The largest relative differences of a training's losses from those on the CPU in float32, without dropout."""

    steps: int
    first_loss: float
    last_loss: float
    float32_difference: float
    bfloat16_difference: float


@dataclass(frozen=True)
class Resumed:
    """The largest difference between the weights of a training and of one that was stopped halfway and resumed."""

    steps: int
    is_identical: bool
    difference: float


@dataclass(frozen=True)
class Maps:
    """The largest differences of attention weights from those on the CPU in float32, over all heads."""

    pairs: int
    float32_difference: float
    bfloat16_difference: float


@dataclass(frozen=True)
class Searched:
    """Translations by beam search in float32."""

    lines: int
    uses_graphs: bool
    same_without_graphs: float  # share of the lines
    same_on_cpu: float


def peak(job: CheckJob) -> Peak:
    """Time one large product in the precision of `config`. steps: its number of rows and columns."""
    rate = products_alone([Product(job.steps, job.steps, job.steps, 1)], job.device, job.config.train.precision)
    return Peak(rate / 1e9, gpu_name(job.device))


def learn(job: CheckJob) -> Learned:
    """Train the run that the other parts use, and validate it at the end."""
    started = time.perf_counter()
    run = _trained(job, job.run, job.config, job.steps, validate_every=job.steps)
    losses = [line["train_loss"] for line in run.metrics() if "train_loss" in line]
    valid = [line["valid_loss"] for line in run.metrics() if "valid_loss" in line]
    lines = re.findall(r"gradients of a step: .*|.*without CUDA graphs.*|training without.*", run.log_path.read_text())
    return Learned(job.steps, time.perf_counter() - started, losses[-1], valid[-1], "; ".join(lines))


def curve(job: CheckJob) -> Curve:
    """Train on the CPU, and on the device in both precisions, with the same batches."""
    config = _changed(job.config, "model", dropout=0.0)
    exact, *others = (
        _losses(job.model_copy(update={"device": device}), _changed(config, "train", precision=precision))
        for device, precision in (("cpu", "float32"), (job.device, "float32"), (job.device, "bfloat16"))
    )
    differences = [float(np.abs(each / exact - 1).max()) for each in others]
    return Curve(len(exact), float(exact[0]), float(exact[-1]), *differences)


def resume(job: CheckJob) -> Resumed:
    """Train in one go, and again with an interruption."""
    half = {"save_every": job.steps // 2, "validate_every": LARGEST, "keep_checkpoints": 2}
    whole = _trained(job, Path(tempfile.mkdtemp(dir=job.folder)), job.config, job.steps, **half)
    folder = Path(tempfile.mkdtemp(dir=job.folder)) / "resumed"
    shutil.copytree(whole.path, folder)
    resumed = Run.open(folder)
    shutil.rmtree(max(step_folders(resumed.checkpoints_path).items())[1])
    train(resumed, whole.load_config(), pick_device(job.device))
    weights = [load_file(max(step_folders(run.checkpoints_path).items())[1] / MODEL) for run in (whole, resumed)]
    differences = [float(np.abs(weights[0][name] - weights[1][name]).max()) for name in weights[0]]
    return Resumed(job.steps, max(differences) == 0, max(differences))


def maps(job: CheckJob) -> Maps:
    """Extract the maps of the test text's references."""
    texts = [list(itertools.islice(read_lines(job.folder / f"test.{side}"), NUM_PAIRS)) for side in (SRC, TGT)]
    exact = load_translator(job.run, "cpu")
    vocabs = exact.vocabs
    rows = (vocabs.src.encode(texts[0]), vocabs.tgt.encode(texts[1]))
    pairs = [((*src, vocabs.src.eos_id), (*tgt, vocabs.tgt.eos_id)) for src, tgt in zip(*rows, strict=True)]
    wanted = list(_weights(exact, pairs))
    differences = []
    for precision in "float32", "bfloat16":
        found = _weights(load_translator(job.run, job.device, precision=precision), pairs)
        differences.append(max(float(np.abs(one - other).max()) for one, other in zip(found, wanted, strict=True)))
    return Maps(len(pairs), *differences)


def search(job: CheckJob) -> Searched:
    """Translate the first lines of the test text on the device, there without graphs, and on the CPU."""
    lines = list(itertools.islice(read_lines(job.folder / f"test.{SRC}"), NUM_LINES))
    translator = load_translator(job.run, job.device)
    engine = engine_of(translator)
    found = translator.translate(lines)
    uses_graphs = engine._graphs.captured is not None
    engine._graphs.captured = None
    plain, exact = translator.translate(lines), load_translator(job.run, "cpu").translate(lines)
    shares = [sum(map(str.__eq__, found, others)) / len(found) for others in (plain, exact)]
    return Searched(len(lines), uses_graphs, *shares)


def _weights(translator: LineTranslator, pairs: Sequence[PiecePair]) -> Iterator[Floats]:
    for each in attention_maps(translator, pairs):
        yield from (stack.weights for stack in each.stacks.values())


def _losses(job: CheckJob, config: Config) -> Floats:
    """Return the training loss of each step."""
    never = {"validate_every": LARGEST, "save_every": LARGEST}
    run = _trained(job, Path(tempfile.mkdtemp(dir=job.folder)), config, job.steps, log_every=1, **never)
    return np.array([line["train_loss"] for line in run.metrics() if "train_loss" in line])


def _trained(job: CheckJob, folder: Path, config: Config, steps: int, **settings: object) -> Run:
    quick = {"validate_sentences": 0, "snapshot_sentences": 0}
    config = _changed(config, "train", max_steps=steps, **quick, **settings)
    run = Run.create(folder, config)
    train(run, config, pick_device(job.device))
    return run


def _changed(config: Config, section: str, **values: object) -> Config:
    tables = config.model_dump()
    tables[section] |= values
    return Config.model_validate(tables)
