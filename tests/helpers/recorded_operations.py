"""CUDA graphs in miniature: operations on a CPU that are recorded and repeated on the same memory.

As with CUDA graphs, capturing changes nothing, Python numbers and addresses are those of the capture, and waiting for a
result is an error. A repetition draws new random numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::masked_select", "aten::is_nonzero"}


class RecordedOperations:
    """A Capture on the CPU. `fails_from`: number of the first capture that fails, from 0."""

    def __init__(self, fails_from: float = float("inf")) -> None:
        self.num_captures, self.num_runs, self.num_repetitions = 0, 0, 0
        self.fails_from = fails_from

    def run(self, work: Callable[[], None]) -> None:
        self.num_runs += 1
        work()

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        if self.num_captures >= self.fails_from:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nand more lines")
        self.num_captures += 1
        state = torch.get_rng_state()
        with _Recorder() as recorder:
            work()
        recorder.undo()
        torch.set_rng_state(state)

        def repeat() -> None:
            self.num_repetitions += 1
            recorder.repeat()

        return repeat


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self._operations: list[tuple[Any, Any, Any, Any]] = []
        self._before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._schema.name in WAITING:
            raise RuntimeError(f"{func} waits for the device")
        for argument, value in zip(func._schema.arguments, args, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                for tensor in _tensors(value):
                    self._keep(tensor)
        _ = [self._keep(each) for each in _tensors(kwargs.get("out"))]
        result = func(*args, **kwargs)
        self._operations.append((func, args, kwargs, result))
        return result

    def undo(self) -> None:
        for storage, before in self._before.values():
            storage.copy_(before)

    @torch.no_grad()
    def repeat(self) -> None:
        for func, args, kwargs, result in self._operations:
            inputs = {each.untyped_storage().data_ptr() for each in _tensors((args, kwargs))}
            outputs = _tensors(result)
            is_view = outputs and all(each.untyped_storage().data_ptr() in inputs for each in outputs)
            if is_view and not func._schema.is_mutable:
                continue
            for old, new in zip(outputs, _tensors(func(*args, **kwargs)), strict=True):
                if old.untyped_storage().data_ptr() not in inputs:
                    old.copy_(new)

    def _keep(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self._before.setdefault(storage.data_ptr(), (storage, storage.clone()))


def _tensors(tree: object) -> list[Tensor]:
    """Return the tensors with memory that may change: packed weights have none that PyTorch can see."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor) and not leaf.is_mkldnn]
