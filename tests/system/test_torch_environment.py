"""Variables that PyTorch and its libraries read when they are loaded, unless the user has set them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from translate.system.torch_environment import SPIN_COUNT, set_torch_environment

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="PyTorch uses GNU's OpenMP library on Linux only")


@needs_linux
@pytest.mark.parametrize(
    "program", [["-m", "translate", "decode"], ["-c", "import sys, translate; translate.load(sys.argv[1])"]]
)
def test_the_command_and_python_load_openmp_with_the_limit(tiny_run: Path, program: list[str]) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    result = subprocess.run(
        [sys.executable, *program, tiny_run], input="", env={**kept, "OMP_DISPLAY_ENV": "verbose"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"GOMP_SPINCOUNT = '{SPIN_COUNT}'" in result.stderr


@needs_linux
@pytest.mark.parametrize(("name", "value"), [("GOMP_SPINCOUNT", "7"), ("OMP_WAIT_POLICY", "active")])
def test_the_users_own_choice_wins(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv(name, value)
    set_torch_environment()
    assert os.environ[name] == value
    assert os.environ.get("GOMP_SPINCOUNT", "7") == "7"
