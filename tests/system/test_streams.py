"""Commands with closed, full or unread standard streams."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from translate import __version__

# Ends like the entry point, after a result, a message, a progress bar, a warning of Python and a file that is opened.
COMMAND = """
import sys
from translate.system import streams
streams.reserve_descriptors()
streams.prepare_streams()
from translate.cli import _run
def check(*arguments):
    import warnings
    from tqdm import tqdm
    from translate.system.terminal_text import print_message, print_result
    with open("record", "w") as record:
        for _ in tqdm(range(2)):
            print_message("warning: \\ud8ff")
        warnings.warn("hasty")
        print_result("result")
    return 0
import translate.cli
translate.cli._invoke = check
status = _run([])
streams.flush_output()
sys.exit(status)
"""


def run(folder: Path, redirection: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a shell; the shell prints what the command printed on standard output."""
    (folder / "command.py").write_text(COMMAND)
    command = f'"{sys.executable}" command.py {redirection}'
    return subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2> >(true)", "<&- 2>&-"])
def test_without_standard_error_results_stay_alone_on_standard_output(tmp_path: Path, redirection: str) -> None:
    if "full" in redirection and not Path("/dev/full").exists():
        pytest.skip("only Linux has /dev/full")
    done = run(tmp_path, redirection)
    assert (done.returncode, done.stdout, done.stderr) == (0, "result\n", "")
    assert (tmp_path / "record").read_text() == ""


def test_results_that_cannot_be_written_end_the_command_with_one_line(tmp_path: Path) -> None:
    cases = {"full": "No space left on device", "closed": "standard output is closed"}
    for name, redirection in ("full", ">/dev/full"), ("closed", ">&-"):
        if name == "full" and not Path("/dev/full").exists():
            continue
        done = run(tmp_path, redirection)
        assert done.returncode == 2
        assert cases[name] in done.stderr.splitlines()[-1]
        assert (tmp_path / "record").read_text() == ""


def test_the_entry_point_works_without_standard_input_and_error(tmp_path: Path) -> None:
    command = f'"{sys.executable}" -m translate --version <&- 2>&-'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"translate {__version__}\n", "")
