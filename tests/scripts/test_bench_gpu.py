"""The GPU benchmark on a CPU, with tiny sizes and in this process; the other toolkits are not needed."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from benchmarks import child, gpu, gpu_checks, ours, products
from benchmarks.work import Job

from tests.helpers.corpora import TOY
from translate.errors import UserError

MODULES = {"gpu_checks": gpu_checks, "ours": ours}
PARTS = ["peak", "learn", "train ours tiny float32", "maps", "search", "curve", "resume", "decode ours beam 2 float32"]
PARTS += ["train ours tiny float32, compiled if faster"]


def test_all_parts_of_the_gpu_benchmark_run_on_a_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limits = []

    def in_this_process(task: str, job: Job, max_seconds: float) -> Any:
        limits.append(max_seconds)
        module, name = task.split(".")
        return asdict(getattr(MODULES[module], name)(type(job).model_validate_json(job.model_dump_json())))

    monkeypatch.setattr(gpu, "in_child", in_this_process)
    monkeypatch.setattr(products, "LOOP_SECONDS", 0.001)
    plan = gpu.quick(gpu.Plan(["ours"], "cpu", threads=1, max_seconds=450.0))
    report = gpu.measure(plan, tmp_path, gpu.toy_text(TOY), tmp_path / "out" / "results.jsonl")
    assert [(row["name"], row["error"]) for row in report.rows] == [(name, "") for name in PARTS]
    figures = {row["name"]: row["figures"] for row in report.rows}
    assert figures["maps"]["float32_difference"] < 1e-5
    assert figures["maps"]["bfloat16_difference"] < 1e-2
    assert figures["curve"]["float32_difference"] < 1e-5
    assert figures["curve"]["bfloat16_difference"] < 1e-2
    assert figures["search"] | {"seconds_in_all": 0} == {
        "lines": 100,
        "uses_graphs": False,
        "same_without_graphs": 1.0,
        "same_on_cpu": 1.0,
        "seconds_in_all": 0,
    }
    assert figures["resume"]["is_identical"]
    assert figures["train ours tiny float32"]["tokens_per_second"] > 0
    written = [json.loads(line)["name"] for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert written == PARTS
    assert all(0 < limit <= 170 for limit in limits)
    for prefix in "| ours tiny float32 ", "| ours beam 2 float32 ", "- resume: steps 4, is identical True":
        assert prefix in report.table


def test_parts_that_fail_or_have_no_time_left_are_named_in_the_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(task: str, _job: Job, _max_seconds: float) -> Any:
        if task == "ours.decode":
            monkeypatch.setattr(time, "monotonic", lambda: 1e9)
        raise UserError(f"{task} failed (exit status 1); its last lines:\nTraceback\nRuntimeError: no")

    monkeypatch.setattr(gpu, "in_child", fail)
    plan = gpu.quick(gpu.Plan(["ours", "joeynmt"], "cpu", threads=1, max_seconds=450.0))
    report = gpu.measure(plan, tmp_path, gpu.toy_text(TOY), tmp_path / "results.jsonl")
    errors = [row["error"] for row in report.rows]
    assert errors == ["RuntimeError: no"] * 8 + ["skipped: the time of the benchmark is over"] * 2
    assert "| ours beam 2 float32 | RuntimeError: no |" in report.table
    assert "nan TFLOP/s" in report.table


def test_a_child_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "hang"
    program.write_text("#!/bin/sh\nsleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    started = time.monotonic()
    with pytest.raises(UserError, match=r"^ours.train took longer than 0 seconds$"):
        child.in_child("ours.train", Job(folder=tmp_path, device="cpu", threads=1), max_seconds=0.05)
    assert time.monotonic() - started < 30
