"""Commands of the program, run in the process of the tests."""

from __future__ import annotations

import pytest

from translate import cli


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run `translate` with these arguments: its exit status, and what it wrote to stdout and to stderr."""
    status = cli._run([str(argument) for argument in arguments])
    return status, *capsys.readouterr()
