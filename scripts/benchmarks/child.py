"""The process in which one thing is measured: `python -m benchmarks.child MODULE.FUNCTION JOB.json RESULT.json`.

It imports no more than MODULE does, so that the memory which it reports is that of what is measured.
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import get_type_hints


def main() -> None:
    """Write what `benchmarks.MODULE.FUNCTION` returns to RESULT.json; its one argument says what a job is."""
    task, job_path, result_path = sys.argv[1:]
    module, _, name = task.partition(".")
    function = getattr(importlib.import_module(f"benchmarks.{module}"), name)
    (kind,) = [hint for argument, hint in get_type_hints(function).items() if argument != "return"]
    result = function(kind.model_validate_json(Path(job_path).read_text(encoding="utf-8")))
    Path(result_path).write_text(json.dumps(None if result is None else asdict(result)), encoding="utf-8")


if __name__ == "__main__":
    main()
