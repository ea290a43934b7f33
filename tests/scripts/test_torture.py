"""The long trials: a short slice of them passes, and they can fail."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from torturing.children import Command, Ended
from torturing.judgement import FindingError, check_complaint, check_end
from torturing.kills import check_saved
from torturing.odd_texts import odd_archive, odd_overrides, odd_settings, odd_table, odd_text
from torturing.ordeal import KINDS, Plan, Tally, repeat_command
from torturing.run_state import differences, state_of

TORTURE = Path(__file__).parents[2] / "scripts" / "torture"
SEEDS = range(200)


def ended(status: int = 0, stderr: str = "", is_late: bool = False, peak: int = 0) -> Ended:
    return Ended(Command(("decode", "RUN")), status, b"", stderr, seconds=0.1, peak=peak, is_late=is_late)


def test_a_short_ordeal_of_every_kind_finds_nothing() -> None:
    done = subprocess.run(
        [sys.executable, TORTURE, "--minutes", "0.08", "--seed", "7"], capture_output=True, text=True, timeout=300
    )
    *findings, verdict = done.stdout.splitlines()
    assert findings == []
    assert verdict.startswith("torture: ")
    assert verdict.endswith("seed 7: nothing lost, nothing wrong")
    assert all(kind.things in verdict for kind in KINDS.values())
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("stderr", ["Traceback (most recent call last):\n", "", "warning: odd\n"])
def test_exit_status_two_needs_a_line_of_complaint_and_no_traceback(stderr: str) -> None:
    check_end(ended(2, "error: a.txt: no such file\n"))
    with pytest.raises(FindingError):
        check_end(ended(2, stderr))


def test_what_hangs_swells_or_ends_otherwise_is_found() -> None:
    with pytest.raises(FindingError, match="did not end"):
        check_end(ended(is_late=True))
    with pytest.raises(FindingError, match="MiB"):
        check_end(ended(peak=2**30), peak=2**20)
    for status in 1, 70, 128 + signal.SIGSEGV:
        with pytest.raises(FindingError, match=f"status {status}"):
            check_end(ended(status))


def test_a_complaint_has_to_be_one_line_that_names_the_file() -> None:
    check_complaint(ended(2, "error: RUN/model.safetensors: damaged\n"), "RUN/model.safetensors")
    with pytest.raises(FindingError, match="names none"):
        check_complaint(ended(2, "error: damaged\n"), "RUN")
    with pytest.raises(FindingError, match="2 lines"):
        check_complaint(ended(2, "error: RUN: damaged\nerror: RUN: damaged\n"), "RUN")


def test_a_bit_of_a_weight_or_a_line_of_metrics_makes_another_state(tiny_run: Path, tmp_path: Path) -> None:
    expected = state_of(tiny_run)
    copy = tmp_path / "run"
    shutil.copytree(tiny_run, copy)
    assert differences(state_of(copy), expected) == []
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert len(differences(state_of(copy), expected)) == 1
    metrics = copy / "metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True)
    metrics.write_text("".join([*lines, lines[-1]]))
    assert len(differences(state_of(copy), expected)) == 2


def test_odd_inputs_are_those_of_their_seed_and_odd_indeed() -> None:
    for make in odd_text, odd_settings, odd_overrides, lambda rng: odd_table(rng, 5):
        assert [make(random.Random(seed)) for seed in SEEDS] == [make(random.Random(seed)) for seed in SEEDS]
    texts = [odd_text(random.Random(seed)) for seed in SEEDS]
    assert sum(not _is_utf8(text) for text in texts) > 20
    assert any(len(text) > 30_000 for text in texts)
    assert any(not text for text in texts)
    assert any(b"\0" in text for text in texts)
    archives = [odd_archive(random.Random(seed), b"text\n") for seed in SEEDS[:40]]
    assert 0 < sum(_unpacked(archive) == b"text\n" for archive in archives) < 30


def test_a_kill_at_a_call_loses_nothing_that_was_written_unbuffered(tmp_path: Path) -> None:
    calls = """
        from pathlib import Path
        from torturing.faults import kill_at
        kill_at(3)
        with Path("file").open("ab", buffering=0) as stream:  # the first
            stream.write(b"whole")  # the second
            Path("folder").mkdir()
    """
    program = [sys.executable, "-c", textwrap.dedent(calls)]
    killed = subprocess.run(program, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(TORTURE.parent)}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert not (tmp_path / "folder").exists()


def test_the_verdict_counts_and_the_command_repeats_a_trial() -> None:
    plan = Plan(seed=3, minutes=20, kinds=tuple(KINDS))
    tally = Tally()
    tally.counts.update(kills=212, corruption=1004, inputs=2010, disks=103)
    assert tally.verdict(plan, 1176.0) == (
        "torture: 212 kills, 1,004 corrupted files, 2,010 odd inputs, 103 disk faults in 19.6 minutes, seed 3: "
        "nothing lost, nothing wrong"
    )
    tally.findings.append("something")
    assert tally.verdict(plan, 1176.0).endswith("seed 3: 1 finding")
    assert repeat_command(plan, "kills", 12) == "scripts/torture --minutes 20 --seed 3 --only kills --trial 12"


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _unpacked(content: bytes) -> bytes | None:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError):
        return None


def test_a_step_after_which_a_training_stops_has_to_be_saved_unless_a_second_signal_came(tmp_path: Path) -> None:
    stopped = ended(130, "step 3, epoch 0: loss 5\nSIGINT: stopping after this step; a second one stops at once\n")
    (tmp_path / "checkpoints" / "step-00000002").mkdir(parents=True)
    with pytest.raises(FindingError, match="stopped after step 3, saved 2"):
        check_saved(stopped, tmp_path)
    check_saved(replace(stopped, died_of_signal=True), tmp_path)
    (tmp_path / "checkpoints" / "step-00000003").mkdir()
    check_saved(stopped, tmp_path)
