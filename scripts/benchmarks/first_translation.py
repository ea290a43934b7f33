"""From the start of a command to its first translation: what a user waits who translates one sentence."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.work import environment
from translate.errors import UserError

if TYPE_CHECKING:
    from benchmarks.decoding import DecodeJob


def seconds_to_first_translation(system: str, job: DecodeJob, sentence: str) -> float:
    """Until the first line stands on standard output. Raises UserError where none comes."""
    command = [sys.executable, "-m", *_command(system, job), sentence]
    log_path = job.folder / "first.log"
    started = time.perf_counter()
    with (
        log_path.open("wb") as log,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environment(job.threads)
        ) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - started
    if not line.endswith(b"\n"):
        raise UserError(f"{' '.join(command)}: no translation\n{log_path.read_text(errors='replace')}")
    return seconds


def _command(system: str, job: DecodeJob) -> list[str]:
    """Ours is the command that users have, and so is JoeyNMT's; the others have none, so theirs is a short script."""
    beam_size = str(job.beam_size)
    if system.startswith("ours"):
        engine = "ctranslate2" if system == "ours-ctranslate2" else "torch"
        options = {"--beam-size": beam_size, "--device": job.device, "--engine": engine, "--precision": job.precision}
        return ["translate", "decode", str(job.run), *(word for option in options.items() for word in option)]
    return [f"benchmarks.first_{system.removesuffix('-workers')}", str(job.model), job.device, beam_size]
