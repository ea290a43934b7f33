"""The files of `scripts/`, which have no suffix, as modules."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import IO

from tests.helpers.processes import Command

SCRIPTS = Path(__file__).parents[2] / "scripts"


def load_script(name: str) -> ModuleType:
    """Load a new copy of a script, without running its main function."""
    loader = SourceFileLoader(name, str(SCRIPTS / name))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where `dataclass` looks for its types
    loader.exec_module(module)
    return module


class Forking:
    """`subprocess` for a script that runs `python -m translate`: these commands take less time to start."""

    PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL

    @staticmethod
    def run(command: list[str], *, stderr: IO[str] | None = None, **_: object) -> subprocess.CompletedProcess[str]:
        process = Command(*command[3:], stderr=stderr)
        status = process.wait()
        process.stdout.seek(0)
        return subprocess.CompletedProcess(command, status, process.stdout.read().decode())
