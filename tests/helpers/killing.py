"""A process that trains in children of its own, and can have them die at a chosen call. Started by test_kills.

It reads a job a line, JSON, and answers each with a line. It imports all that training needs and computes nothing
itself, so that its children may be forked: they start in milliseconds and have no threads of another.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

from tests.faults.kills import count_calls, kill_at
from tests.helpers.runs import draw_quickly
from translate.config.toml import load_config
from translate.run.folder import Run
from translate.training import log as training_log
from translate.training.loop import train


def go_on(folder: Path, settings: Path) -> None:
    """What `translate train SETTINGS --out FOLDER` does, with --resume where it takes that."""
    config = load_config(settings)
    is_begun = (folder / "config.toml").exists()
    train(Run.resume(folder, config) if is_begun else Run.create(folder, config), config, torch.device("cpu"))


def work(job: dict[str, Any]) -> None:
    """Train as the job says, in a child."""
    calls = count_calls() if job["noted_in"] else []
    if job["killed_at"]:
        kill_at(job["killed_at"])
    go_on(Path(job["run"]), Path(job["settings"]))
    if job["noted_in"]:
        Path(job["noted_in"]).write_text(json.dumps(list(calls)))


def main() -> None:
    torch.set_num_threads(1)
    importlib.import_module("sacrebleu")  # once for all children
    training_log.save_curves = draw_quickly
    for line in sys.stdin:
        child = os.fork()
        if not child:
            status = 1
            try:
                work(json.loads(line))
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
