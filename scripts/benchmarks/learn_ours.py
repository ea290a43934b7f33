"""Our training as a user starts it, `translate train --src --tgt` with the time as its only setting."""

from __future__ import annotations

import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.learning import BEAM_SIZE, BEST, Learned, LearnJob, Outcome, format_minutes
from translate import __version__
from translate.api import load_translator
from translate.config.toml import changed_search
from translate.data.readers.lines import read_lines
from translate.decoding.torch_engine import TorchEngine
from translate.run.folder import Run


def learn(job: LearnJob) -> Learned:
    """Train by the command, then translate with the run that it leaves."""
    run, cores_used = _trained(job)
    translator = load_translator(run.path, job.device)
    settings = changed_search(translator.settings, {"beam_size": BEAM_SIZE})
    translations = [found.text for found in translator.translations(list(read_lines(job.test_src)), settings)]
    assert isinstance(translator.engine, TorchEngine)
    lines = run.metrics()
    best = min((line for line in lines if "valid_loss" in line), key=lambda line: line["valid_loss"])
    return Learned(
        settings=format_minutes(run.load_config()),
        parameters=sum(weight.numel() for weight in translator.engine.model.parameters()),
        precision=_precision(run),
        minutes=lines[-1]["minutes"],
        updates=lines[-1]["step"],
        epochs=lines[-1]["epoch"],
        cores_used=cores_used,
        outcomes=[Outcome(BEST, best["step"], translations)],
        device_name=torch.cuda.get_device_name() if job.device == "cuda" else "",
        versions={"python": platform.python_version(), "torch": torch.__version__, "translate": __version__},
    )


def _trained(job: LearnJob) -> tuple[Run, float]:
    """The run, and the processor time a second of the command."""
    run = Run(Path(tempfile.mkdtemp(prefix="ours-", dir=job.folder)) / "run")
    command = [sys.executable, "-m", "translate", "train", "--out", str(run.path), "--device", job.device]
    for part in "train", "valid":
        text, prefix = job.text(part), "" if part == "train" else f"{part}-"
        command += [f"--{prefix}src", str(text.src.path), f"--{prefix}tgt", str(text.tgt.path)]
    started, processor_started = time.perf_counter(), _processor_seconds()
    subprocess.run([*command, "--set", f"train.max_minutes={job.minutes}"], check=True)
    return run, (_processor_seconds() - processor_started) / (time.perf_counter() - started)


def _processor_seconds() -> float:
    """Of all commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _precision(run: Run) -> str:
    """As the log tells it: "auto" in the settings leaves it to a measurement."""
    found = re.search(r"training on .*, (\w+)$", run.log_path.read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    return found[1]
