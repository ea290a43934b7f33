"""`scripts/bench size`: how the cost of training grows with the corpus.

For each number of pairs, a small model is trained twice on a toy corpus of that size: first from the start, which
encodes the text, and then with --resume, which finds it encoded. Peak memory includes mapped files.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from toy_corpus.corpus import generate

from benchmarks.child import environment
from benchmarks.report import Columns, Report, table, versions
from benchmarks.work import say
from translate.errors import UserError

CHUNK_PAIRS = 25_000  # drawn from one seed
STEPS = 5  # of each training
MODEL = """
    model.d_model=64 model.d_ff=128 model.num_heads=2 model.num_encoder_layers=1 model.num_decoder_layers=1
    train.batch_tokens=1024 train.validate_sentences=0 train.log_every=1
"""


@dataclass(frozen=True)
class Figures:
    """The cost of one size of corpus."""

    pairs: int
    encoded_pairs_per_second: int
    peak_mb_encoding: int  # of the training that trains the vocabulary and encodes first
    peak_mb: int  # of the training that resumes
    seconds_to_first_step: float  # from the command to the end of the first step, when it resumes


COLUMNS: Columns[Figures] = {
    "pairs": lambda figures: f"{figures.pairs:,}",
    "encoded pairs/s": lambda figures: f"{figures.encoded_pairs_per_second:,}",
    "peak memory, first run": lambda figures: f"{figures.peak_mb_encoding:,} MB",
    "peak memory, resumed": lambda figures: f"{figures.peak_mb:,} MB",
    "from `--resume` to the end of the first step": lambda figures: f"{figures.seconds_to_first_step} s",
}


def measure(folder: Path, sizes: Sequence[int], threads: int) -> Report:
    """Measure each size. folder: keeps the corpora for the next time."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for num_pairs in sizes:
        sides = [folder / f"toy-{num_pairs}.{language}" for language in ("en", "fr")]
        if not all(path.exists() for path in sides):
            say(f"writing {num_pairs:,} pairs")
            _write_corpus(sides, num_pairs)
        rows.append(_measure_one(folder / f"run-{num_pairs}", sides, num_pairs, threads))
        say(table(COLUMNS, rows[-1:]).splitlines()[-1])
    objects = [asdict(row) for row in rows]
    return Report("The size of a corpus", table(COLUMNS, rows), objects, versions("torch", "translate"), "")


def _measure_one(run: Path, sides: Sequence[Path], num_pairs: int, threads: int) -> Figures:
    shutil.rmtree(run, ignore_errors=True)
    settings = [f"--set={setting}" for setting in (*MODEL.split(), f"train.max_steps={STEPS}")]
    peak_encoding, _, log = _train(run, threads, "--src", str(sides[0]), "--tgt", str(sides[1]), *settings)
    peak, seconds, _ = _train(run, threads, "--resume", f"--set=train.max_steps={2 * STEPS}")
    rate = re.search(r"train: encoded .* ([\d,]+) pairs/s", log)
    assert rate, log
    return Figures(num_pairs, int(rate[1].replace(",", "")), peak_encoding, peak, round(seconds, 1))


def _train(run: Path, threads: int, *arguments: str) -> tuple[int, float, str]:
    """Run `translate train`. Returns its peak memory in MB, the seconds to its first step, and its log."""
    command = [sys.executable, "-m", "translate", "train", "--device", "cpu", "--out", str(run), *arguments]
    metrics = run / "metrics.jsonl"
    size = metrics.stat().st_size if metrics.exists() else 0
    first_step, started = 0.0, time.monotonic()
    log_path = run.with_suffix(".log")
    with log_path.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stderr=log, env=environment(threads))
        pid = 0
        while not pid:
            time.sleep(0.02)
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if not first_step and metrics.exists() and metrics.stat().st_size > size:
                first_step = time.monotonic() - started  # the first new line of metrics.jsonl
    process.returncode = os.waitstatus_to_exitcode(status)
    text = log_path.read_text(encoding="utf-8")
    if process.returncode:
        raise UserError(f"{' '.join(command)}: exit status {process.returncode}\n{text}")
    in_mb = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss is in bytes there, in kB elsewhere
    return usage.ru_maxrss // in_mb, first_step, text


def _write_corpus(sides: Sequence[Path], num_pairs: int) -> None:
    """Write the toy corpus of this size: always the same text, drawn by several processes."""
    partials = [path.with_name(f"{path.name}.partial") for path in sides]
    chunks = [(seed, min(CHUNK_PAIRS, num_pairs - CHUNK_PAIRS * seed)) for seed in range(-(-num_pairs // CHUNK_PAIRS))]
    with get_context("spawn").Pool() as pool, partials[0].open("wb") as src, partials[1].open("wb") as tgt:
        for src_text, tgt_text in pool.imap(_draw, chunks):
            src.write(src_text)
            tgt.write(tgt_text)
    for partial, path in zip(partials, sides, strict=True):
        partial.replace(path)


def _draw(chunk: tuple[int, int]) -> tuple[bytes, bytes]:
    number, num_pairs = chunk
    pairs = list(islice(generate(number + 1), num_pairs))
    return "".join(f"{pair.src}\n" for pair in pairs).encode(), "".join(f"{pair.tgt}\n" for pair in pairs).encode()
