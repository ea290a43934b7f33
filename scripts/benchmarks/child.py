"""The process in which one thing is measured: `python -m benchmarks.child MODULE WORK.json RESULT.json`."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.work import Work


def main() -> None:
    """Write what `benchmarks.MODULE.measure` returns to RESULT.json."""
    module, work_path, result_path = sys.argv[1:]
    work = Work.model_validate_json(Path(work_path).read_text(encoding="utf-8"))
    torch.set_num_threads(work.threads)
    result = importlib.import_module(f"benchmarks.{module}").measure(work)
    Path(result_path).write_text(json.dumps(asdict(result)), encoding="utf-8")


if __name__ == "__main__":
    main()
