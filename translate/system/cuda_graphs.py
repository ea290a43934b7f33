"""Capture of CUDA work as graphs, which start thousands of operations at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch


class Capture(Protocol):
    """Records work on a device so that it can be repeated on the same tensors."""

    def run(self, work: Callable[[], None]) -> None:
        """Do the work as it will be captured, which also prepares libraries for it."""

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Return a function that repeats the work. Capturing it does not do it."""


class CudaGraphs:
    """Capture with CUDA graphs that share memory, so only one of them may run at a time, and only on one stream.

    The work must not wait for the device or depend on its results, must keep shapes and addresses, and may draw random
    numbers: each repetition starts from the current state of PyTorch's generator and advances it
    (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
    """

    def __init__(self, device: torch.device) -> None:
        self._device = torch.device("cuda", torch.cuda.current_device()) if device.index is None else device
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(self._device)

    def run(self, work: Callable[[], None]) -> None:
        """See Capture. The stream of the graphs is used, because libraries keep memory for each stream."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            work()
        current.wait_stream(self._stream)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """See Capture. Raises RuntimeError if the work cannot be captured; later work is then not affected."""
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self._device)
        generator = torch.cuda.default_generators[self._device.index]
        state = generator.clone_state()
        try:
            # Meanwhile, another thread copies the next batches to the GPU. By default, that would end the capture.
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                work()
        except Exception:
            # A failed capture leaves its stream current and the generator's state in use by the graph.
            torch.cuda.set_stream(current)
            generator.graphsafe_set_state(state)
            raise
        return graph.replay


def summary(error: Exception) -> str:
    """Return the type of an error and the first line of its message."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
