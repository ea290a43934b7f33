"""Trainings that die at a chosen call, for processes of their own."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tests.faults.kills import count_calls, kill_at
from translate.config.toml import load_config
from translate.run.folder import Run
from translate.training.loop import train


def go_on(folder: Path, settings: Path, killed_at: int, noted_in: Path | None) -> None:
    """Do what `translate train SETTINGS --out FOLDER` does, with --resume where it takes that.

    killed_at: number of the call that changes files at which the process dies; 0: none. noted_in: file for all calls.
    """
    calls = count_calls() if noted_in else []
    if killed_at:
        kill_at(killed_at)
    config = load_config(settings)
    is_begun = (folder / "config.toml").exists()
    train(Run.resume(folder, config) if is_begun else Run.create(folder, config), config, torch.device("cpu"))
    if noted_in:
        noted_in.write_text(json.dumps(list(calls)))
