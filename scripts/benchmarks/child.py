"""Measurements in separate processes, so that the peak memory is that of the measured system only.

The parent calls `in_child`; the child is `python -m benchmarks.child MODULE.FUNCTION JOB.json RESULT.json`. It imports
only what MODULE imports.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    from benchmarks.work import Job

ROOT = Path(__file__).resolve().parents[2]
NUM_LOG_LINES = 15


def in_child(task: str, job: Job, max_seconds: float | None = None) -> Any:
    """Run `benchmarks.TASK(job)` in another process; return its result as JSON values. task: `module.function`.

    Raises UserError if it fails, or takes longer than `max_seconds`; it is then killed with its own processes.
    """
    from translate.errors import UserError

    job_path, result_path, log_path = (job.folder / name for name in ("job.json", "result.json", "child.log"))
    job_path.write_text(job.model_dump_json(), encoding="utf-8")
    result_path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.child", task, str(job_path), str(result_path)]
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment(job.threads), start_new_session=True
        )
        try:
            status = process.wait(max_seconds)
        except subprocess.TimeoutExpired:
            raise UserError(f"{task} took longer than {max_seconds:.0f} seconds") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if not result_path.exists():
        lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-NUM_LOG_LINES:]
        raise UserError("\n".join([f"{task} failed (exit status {status}); its last lines:", *lines]))
    return json.loads(result_path.read_text(encoding="utf-8"))


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a child: the path to our modules, and the number of threads of every library."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "scripts"), str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }


def main() -> None:
    """Call a function with a job, whose type is that of the function's only argument, and write the result."""
    task, job_path, result_path = sys.argv[1:]
    module, _, name = task.partition(".")
    function = getattr(importlib.import_module(f"benchmarks.{module}"), name)
    (kind,) = [hint for argument, hint in get_type_hints(function).items() if argument != "return"]
    result = function(kind.model_validate_json(Path(job_path).read_text(encoding="utf-8")))
    Path(result_path).write_text(json.dumps(None if result is None else asdict(result)), encoding="utf-8")


if __name__ == "__main__":
    main()
