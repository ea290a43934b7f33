"""Capture of CUDA graphs, without CUDA: what is called, and what a failed capture leaves behind."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from translate.system.cuda_graphs import CudaGraphs, summary


class Device:
    """A pretended GPU that records what happens to its stream and its generator."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stream: object = "default"
        self.state, self.calls = "before", list[str]()
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "pool")
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "Stream", lambda _: "side")
        monkeypatch.setattr(torch.cuda, "current_stream", lambda _: self.stream)
        monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: setattr(self, "stream", stream))
        monkeypatch.setattr(
            torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: self.calls.append("replay"))
        )
        generator = SimpleNamespace(
            clone_state=lambda: self.state, graphsafe_set_state=lambda state: setattr(self, "state", state)
        )
        monkeypatch.setattr(torch.cuda, "default_generators", (generator,))
        inspect.signature(torch.cuda.graph.__init__).bind("self", "graph", pool=0, stream=0, capture_error_mode="x")
        monkeypatch.setattr(torch.cuda, "graph", self.graph)

    @contextmanager
    def graph(self, _graph: object, pool: str, stream: str, capture_error_mode: str) -> Iterator[None]:
        assert (pool, capture_error_mode) == ("pool", "thread_local")
        self.stream, self.state = stream, "capturing"
        yield  # an error leaves both as they are
        self.stream, self.state = "default", "before"


def test_captured_work_is_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch)
    replay = CudaGraphs(torch.device("cuda")).capture(lambda: device.calls.append(f"work on {device.stream}"))
    replay()
    assert device.calls == ["work on side", "replay"]


def test_a_failed_capture_restores_stream_and_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch)

    def fail() -> None:
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    with pytest.raises(RuntimeError, match="not permitted") as caught:
        CudaGraphs(torch.device("cuda", 0)).capture(fail)
    assert (device.stream, device.state) == ("default", "before")
    assert summary(caught.value) == "RuntimeError: operation not permitted"
    assert summary(ValueError()) == "ValueError: no message"
