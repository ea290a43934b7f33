"""One clock for all systems that translate: from lines to translations in memory, including segmentation."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable, Sequence

from benchmarks.decoding import DecodeJob, Measured
from benchmarks.report import versions
from translate.data.readers.lines import read_lines
from translate.run.folder import Run
from translate.system.memory import peak_main_memory

NUM_WARM_UP_LINES = 16
GPU_INTERVAL = 0.02  # seconds between two polls

Translate = Callable[[Sequence[str]], list[str]]  # lines -> their translations, in order


def measured(job: DecodeJob, load: Callable[[DecodeJob], Translate], packages: Sequence[str]) -> Measured:
    """Time one system. load: loads the model. packages: the distributions whose versions are reported with ours."""
    lines = list(read_lines(job.source))
    with _Memory(job.device) as memory:
        started = time.perf_counter()
        translate = load(job)
        load_seconds = time.perf_counter() - started
        translate(lines[:NUM_WARM_UP_LINES])
        started, processor_started = time.perf_counter(), _processor_seconds()
        translations = translate(lines)
        seconds, processor_seconds = time.perf_counter() - started, _processor_seconds() - processor_started
        peak_memory_bytes = memory.peak_bytes
    return Measured(
        sentences_per_second=len(lines) / seconds,
        load_seconds=load_seconds,
        cores_used=processor_seconds / seconds,
        peak_memory_bytes=peak_memory_bytes,
        num_pieces=sum(len(row) + 1 for row in Run(job.run).load_vocabs().tgt.encode(translations)),
        translations=translations,
        device_name=memory.device_name,
        versions=versions("translate-attention", *packages),
    )


def in_order_of_length(lines: Sequence[str], translate: Translate) -> list[str]:
    """Translate the longest lines first, for a system that batches adjacent lines; restore their order."""
    order = sorted(range(len(lines)), key=lambda i: -len(lines[i]))
    found = dict(zip(order, translate([lines[i] for i in order]), strict=True))
    return [found[i] for i in range(len(lines))]


def _processor_seconds() -> float:
    """Return the processor time of this process and its children that have ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class _Memory:
    """The peak memory within the block: main memory, or the GPU's if `device` is one.

    The GPU is polled for all memory in use, because not all systems allocate through PyTorch.
    """

    def __init__(self, device: str) -> None:
        self.device_name = ""
        self._device = device
        self._peak_bytes = 0
        self._is_over = threading.Event()

    @property
    def peak_bytes(self) -> int:
        if self._device != "cpu":
            return self._peak_bytes
        return max(peak_main_memory(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)

    def __enter__(self) -> _Memory:
        if self._device != "cpu":
            import torch  # imported here, because some systems run without it

            self.device_name = torch.cuda.get_device_name()
            self._thread = threading.Thread(target=self._watch, args=(torch.cuda.mem_get_info,))
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._device != "cpu":
            self._is_over.set()
            self._thread.join()

    def _watch(self, free_and_all: Callable[[], tuple[int, int]]) -> None:
        while not self._is_over.wait(GPU_INTERVAL):
            free, all_bytes = free_and_all()
            self._peak_bytes = max(self._peak_bytes, all_bytes - free)
