"""scripts/crash_test: a few trials find nothing, and its checks can fail."""

from __future__ import annotations

import runpy
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest
from crash_testing.commands import Blow, Ended, FindingError, check_end, check_reported, run
from crash_testing.kills import check_saved
from crash_testing.run_state import differences, state_of
from crash_testing.trials import KINDS, Plan, Tally

from tests.helpers.processes import Command

SCRIPT = Path(__file__).parents[2] / "scripts" / "crash_test"


def ended(status: int = 0, stderr: str = "") -> Ended:
    return Ended(("decode", "RUN"), status, stderr, seconds=0.1)


def test_one_trial_of_each_kind_finds_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its commands are forked from a process that has imported what they need, so moments of the start are rare."""
    names = {name: getattr(subprocess, name) for name in ("DEVNULL", "TimeoutExpired")}

    def start(command: list[str], *, env: dict[str, str], stderr: IO[bytes], **_: object) -> Command:
        return Command(*command[3:], env=env, stderr=stderr)

    monkeypatch.setattr("crash_testing.commands.subprocess", SimpleNamespace(Popen=start, **names))
    script = runpy.run_path(str(SCRIPT))
    with pytest.raises(SystemExit) as ended:
        script["main"](minutes=0, seed=40, trial=None)  # a seed with one kill in each trial
    (verdict,) = capsys.readouterr().out.splitlines()
    assert verdict.endswith("seed 40: no findings")
    assert all(things in verdict for things in KINDS)
    assert ended.value.code == 0


def test_signal_ends_a_command(tmp_path: Path) -> None:
    killed = run(("--help",), tmp_path, (Blow(signal.SIGKILL, 0.0),))
    assert (killed.status, killed.died_of_signal) == (128 + signal.SIGKILL, True)
    assert run(("--version-of-nothing",), tmp_path).status == 2


def test_traceback_and_unexpected_exit_status_are_findings() -> None:
    check_end(ended(), (0,))
    with pytest.raises(FindingError, match="traceback"):
        check_end(ended(0, "Traceback (most recent call last):\n"), (0,))
    with pytest.raises(FindingError, match="exit status 139"):
        check_end(ended(128 + signal.SIGSEGV), (0, 2))


def test_failing_command_must_print_one_line_that_names_the_path() -> None:
    path = Path("RUN")
    check_reported(ended(), path)
    check_reported(ended(2, "error: RUN/model.safetensors: No space left on device\n"), path)
    with pytest.raises(FindingError, match="does not name RUN"):
        check_reported(ended(2, "error: no space\n"), path)
    for stderr, count in ("", 0), ("error: RUN: full\nerror: RUN: full\n", 2):
        with pytest.raises(FindingError, match=f"{count} error lines"):
            check_reported(ended(2, stderr), path)


def test_one_bit_of_a_weight_or_one_line_of_metrics_changes_the_state(tiny_run: Path, tmp_path: Path) -> None:
    expected = state_of(tiny_run)
    copy = tmp_path / "run"
    shutil.copytree(tiny_run, copy)
    assert differences(state_of(copy), expected) == []
    for name in "model.safetensors", next(copy.glob("checkpoints/*/model.safetensors")).relative_to(copy):
        sound = (copy / name).read_bytes()
        (copy / name).write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
        assert len(differences(state_of(copy), expected)) == 1
        (copy / name).write_bytes(sound)
    metrics = copy / "metrics.jsonl"
    metrics.write_text(metrics.read_text() + metrics.read_text().splitlines(keepends=True)[-1])
    assert len(differences(state_of(copy), expected)) == 1


def test_final_step_must_be_saved_unless_training_was_killed(tmp_path: Path) -> None:
    stopped = ended(130, "step 3, epoch 0: loss 5\nSIGINT: stopping after this step; send it again to stop now\n")
    (tmp_path / "checkpoints" / "step-00000002").mkdir(parents=True)
    with pytest.raises(FindingError, match="stopped after step 3, saved 2"):
        check_saved(stopped, tmp_path)
    check_saved(replace(stopped, died_of_signal=True), tmp_path)
    (tmp_path / "checkpoints" / "step-00000003").mkdir()
    check_saved(stopped, tmp_path)


def test_verdict_counts_findings_and_repeats_a_trial() -> None:
    plan, tally = Plan(seed=3, minutes=20), Tally()
    tally.counts.update({"training kills": 212, "disk faults": 1003})
    expected = "212 training kills, 0 decoding kills, 1,003 disk faults in 19.6 minutes, seed 3: no findings"
    assert tally.verdict(plan, 1176.0) == f"crash test: {expected}"
    tally.num_findings = 1
    assert tally.verdict(plan, 1176.0).endswith("seed 3: 1 finding")
    assert plan.command(12) == "scripts/crash_test --minutes 20 --seed 3 --trial 12"
