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
def test_large_tensors_are_stored_in_huge_pages() -> None:
    """PyTorch then aligns them with pages, and otherwise with 64 bytes."""
    code = "import translate.system.torch_environment as each; each.set_torch_environment(); import torch; "
    code += "print([torch.empty(2**21, dtype=torch.uint8).data_ptr() % 4096 for _ in range(3)])"
    kept = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    result = subprocess.run([sys.executable, "-c", code], env=kept, capture_output=True, text=True, check=True)
    assert result.stdout == "[0, 0, 0]\n"


@needs_linux
@pytest.mark.parametrize(
    ("name", "value"), [("GOMP_SPINCOUNT", "7"), ("OMP_WAIT_POLICY", "active"), ("THP_MEM_ALLOC_ENABLE", "0")]
)
def test_the_users_own_choice_wins(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    for each in "GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "THP_MEM_ALLOC_ENABLE":
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, value)
    set_torch_environment()
    assert os.environ[name] == value
    assert os.environ.get("GOMP_SPINCOUNT", "7") == ("7" if name != "THP_MEM_ALLOC_ENABLE" else SPIN_COUNT)
