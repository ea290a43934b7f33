"""One clock for all systems that translate: from lines to translations, both in memory, pieces and back included."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.decoding import DecodeJob, Measured
from translate import __version__
from translate.memory import peak_main_memory
from translate.run import Run
from translate.text import read_lines

NUM_WARM_UP_LINES = 16

Translate = Callable[[Sequence[str]], list[str]]  # lines -> their translations, in order


def measured(job: DecodeJob, load: Callable[[DecodeJob], Translate], packages: Sequence[str]) -> Measured:
    """The figures of one system.

    load: makes the model ready. packages: the distributions whose versions are told beside ours.
    """
    lines = list(read_lines(job.source))
    started = time.perf_counter()
    translate = load(job)
    load_seconds = time.perf_counter() - started
    translate(lines[:NUM_WARM_UP_LINES])
    started, processor_started = time.perf_counter(), time.process_time()
    translations = translate(lines)
    seconds, processor_seconds = time.perf_counter() - started, time.process_time() - processor_started
    peak, device_name = _peak_memory(job.device)
    return Measured(
        sentences_per_second=len(lines) / seconds,
        load_seconds=load_seconds,
        cores_used=processor_seconds / seconds,
        peak_memory_bytes=peak,
        num_pieces=_num_pieces(job.run, translations),
        translations=translations,
        device_name=device_name,
        versions={"python": platform.python_version(), "translate": __version__} | _versions(packages),
    )


def in_order_of_length(lines: Sequence[str], translate: Translate) -> list[str]:
    """Translations in the order of the lines, by a system that makes its batches of neighbours: the longest first."""
    order = sorted(range(len(lines)), key=lambda i: -len(lines[i]))
    found = dict(zip(order, translate([lines[i] for i in order]), strict=True))
    return [found[i] for i in range(len(lines))]


def _peak_memory(device: str) -> tuple[int, str]:
    """Bytes, and the name of the GPU where there is one."""
    if device == "cpu":
        return peak_main_memory(), ""
    import torch  # in the function: some systems do not need it, and its memory is not theirs

    from translate.device import peak_memory

    return peak_memory(torch.device(device)), torch.cuda.get_device_name()


def _versions(packages: Sequence[str]) -> dict[str, str]:
    return {package: version(package) for package in packages}


def _num_pieces(run: Path, translations: Sequence[str]) -> int:
    """With their `</s>`."""
    vocabs = Run(run).load_vocabs()
    assert vocabs is not None
    return sum(len(row) + 1 for row in vocabs.tgt.encode(translations))
