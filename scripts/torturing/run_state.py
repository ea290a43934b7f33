"""What a run has come to, so that two runs can be compared to the last bit."""

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


def state_of(run: Path, with_metrics: bool = True) -> dict[str, str]:
    """A digest of each tensor of the newest checkpoint and of the weights to use, and each number that training counts.

    The files are read without the code that is on trial. Raises whatever a file raises that cannot be read.
    """
    newest = sorted((run / "checkpoints").glob("step-*"))[-1]
    state = {
        f"{place}/{path.name} {name}": _digest(tensor)
        for place, paths in {
            "newest": sorted(newest.glob("*.safetensors")),
            "best": [run / "model.safetensors"],
        }.items()
        for path in paths
        for name, tensor in load_file(path).items()
    }
    progress = json.loads((newest / "progress.json").read_bytes())
    state |= {f"progress {name}": repr(value) for name, value in _flat(progress) if name in COUNTED}
    if with_metrics:
        state |= _metrics(run / "metrics.jsonl")
    return state


def differences(state: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """The names of what is not the same in both."""
    return sorted(name for name in state.keys() | expected.keys() if state.get(name) != expected.get(name))


def _metrics(path: Path) -> dict[str, str]:
    """Each line once and in order: a line lost, doubled or changed is another state."""
    lines = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    return {
        f"metrics line {number}": repr({name: line[name] for name in MEASURED if name in line})
        for number, line in enumerate(lines, start=1)
    }


def _digest(tensor: torch.Tensor) -> str:
    content = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
    return f"{tensor.dtype} {tuple(tensor.shape)} {hashlib.sha256(content.numpy().tobytes()).hexdigest()}"


def _flat(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The names and values of a record and of the tables in it."""
    for name, each in value.items():
        if isinstance(each, Mapping):
            yield from _flat(each)
        else:
            yield name, each
