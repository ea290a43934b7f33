"""`scripts/bench page-model`: how large a page with a model is, and how fast it opens and translates in browsers.

A page is opened five times, until the translation of its first example is shown. Then sentences of as many words are
translated with all maps by the page's worker, from the message to the answer, without drawing: medians and maxima.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.child import environment
from benchmarks.firefox import PROGRAM, running_firefox
from benchmarks.report import Columns, Report, table, versions
from benchmarks.work import say
from translate.errors import UserError
from translate.run.folder import Run

PRECISIONS = ("float32", "float16", "int8")
BEAMS = (5, 1)
NUM_OPENINGS, NUM_WARM_UP, NUM_TIMED = 5, 5, 20
FIRST_ANSWER = """async () => {
  while (!document.querySelector("#sides .piece")) await new Promise((shown) => setTimeout(shown, 5));
  return performance.now() / 1000;
}"""
TIMES = """async ({ sentences, beams }) => {
  const code = new Blob([document.getElementById("engine").textContent], { type: "text/javascript" });
  const worker = new Worker(URL.createObjectURL(code));
  const ask = (request) => new Promise((resolve, reject) => {
    worker.onmessage = ({ data: { result, message } }) => (result ? resolve(result) : reject(new Error(message)));
    worker.postMessage({ id: 1, ...request });
  });
  const block = document.getElementById("model-0").textContent;
  await ask({ method: "open", blocks: [block] });
  const run = JSON.parse(block).name;
  const times = [];
  for (const beam_size of beams) {
    for (const q of sentences) {
      const start = performance.now();
      await ask({ method: "attention", body: { run, q, beam_size, sample: false, maps: "packed" } });
      times.push(performance.now() - start);
    }
  }
  worker.terminate();
  return times;
}"""


@dataclass(frozen=True)
class Figures:
    """A page in a browser. Times in milliseconds are of one sentence."""

    precision: str
    megabytes: float
    browser: str
    opens_seconds: float  # until its first example is translated
    beam_5_ms: float
    beam_5_max_ms: float
    greedy_ms: float
    greedy_max_ms: float


COLUMNS: Columns[Figures] = {
    "weights": lambda figures: figures.precision,
    "page": lambda figures: f"{figures.megabytes:.1f} MB",
    "browser": lambda figures: figures.browser,
    "first answer": lambda figures: f"{figures.opens_seconds:.2f} s",
    "beam 5 (maximum)": lambda figures: f"{figures.beam_5_ms:.0f} ms ({figures.beam_5_max_ms:.0f})",
    "greedy (maximum)": lambda figures: f"{figures.greedy_ms:.0f} ms ({figures.greedy_max_ms:.0f})",
}


def measure(run: Run, text: Sequence[str], num_words: int) -> Report:
    """Measure pages of the run in all browsers. text: the first of its sentences with so many words are translated."""
    sentences = [line for line in text if len(line.split()) == num_words][: NUM_WARM_UP + NUM_TIMED]
    if len(sentences) < NUM_WARM_UP + NUM_TIMED:
        found = f"{len(sentences)} sentences of {num_words} words, but {NUM_WARM_UP + NUM_TIMED} are needed"
        raise UserError(f"--src: the text has {found}; pass another text or change --words")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        pages = {precision: Path(folder) / f"{precision}.html" for precision in PRECISIONS}
        for precision, page in pages.items():
            options = [str(run.path), str(page), "--format", "page", "--precision", precision]
            command = [sys.executable, "-m", "translate", "export", *options]
            if status := subprocess.run(command, stdout=subprocess.DEVNULL, env=environment(1)).returncode:
                raise UserError(f"{run.path}: `translate export` ended with exit status {status}; see above")
        for browser, window in _browsers():
            for precision, page in pages.items():
                times = _times(window, page, sentences)
                rows.append(Figures(precision, page.stat().st_size / 1e6, browser, *times))
    objects = [asdict(row) | {"words": num_words} for row in rows]
    shown = f"Sentences of {num_words} words.\n\n{table(COLUMNS, rows)}"
    return Report("A page with a model", shown, objects, versions("playwright", "translate-attention"), "")


def _times(window: Any, page: Path, sentences: Sequence[str]) -> list[float]:
    """Return the times of `Figures`. window: a page of playwright, or what has its methods `goto` and `evaluate`."""
    opening = []
    for _ in range(NUM_OPENINGS):
        window.goto("about:blank")
        window.goto(page.as_uri())
        opening.append(window.evaluate(FIRST_ANSWER))
    times = window.evaluate(TIMES, {"sentences": sentences, "beams": BEAMS})
    of_beams = [times[first : first + len(sentences)][NUM_WARM_UP:] for first in range(0, len(times), len(sentences))]
    return [statistics.median(opening), *(act(each) for each in of_beams for act in (statistics.median, max))]


def _browsers() -> Iterator[tuple[str, Any]]:
    """Start the browsers one after the other: the name of each, and a window of it."""
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield f"Chromium {chromium.version}", chromium.new_page()
        chromium.close()
    if PROGRAM is None:
        say("Firefox is not installed (skipped)")
        return
    with running_firefox() as firefox:
        yield f"Firefox {firefox.version}", firefox
