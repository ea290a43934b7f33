"""The state of a run, so that two runs can be compared bit for bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

COUNTED = ("step", "epoch", "batches", "best", "stale_validations", "precision")
MEASURED = ("step", "epoch", "train_loss", "valid_loss", "bleu", "chrf", "learning_rate")  # no times


def state_of(run: Path) -> dict[str, str]:
    """Return digests of all tensors of the newest checkpoint and the best weights, all counters and all metrics.

    Reads the files without the code under test. Raises whatever an unreadable file raises.
    """
    newest = sorted((run / "checkpoints").glob("step-*"))[-1]
    state = {
        f"{path.relative_to(run)} {name}": _digest(tensor)
        for path in (*sorted(newest.glob("*.safetensors")), run / "model.safetensors")
        for name, tensor in load_file(path).items()
    }
    progress = json.loads((newest / "progress.json").read_bytes())
    state |= {f"progress {name}": repr(value) for name, value in _flat(progress) if name in COUNTED}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_bytes().split(b"\n")[:-1]]
    return state | {
        f"metrics line {number}": repr({name: line[name] for name in MEASURED if name in line})
        for number, line in enumerate(lines, start=1)
    }


def differences(state: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """Return the names of all entries that differ."""
    return sorted(name for name in state.keys() | expected.keys() if state.get(name) != expected.get(name))


def _digest(tensor: torch.Tensor) -> str:
    content = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
    return f"{tensor.dtype} {tuple(tensor.shape)} {hashlib.sha256(content.numpy().tobytes()).hexdigest()}"


def _flat(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a record and of its tables."""
    for name, each in value.items():
        if isinstance(each, Mapping):
            yield from _flat(each)
        else:
            yield name, each
