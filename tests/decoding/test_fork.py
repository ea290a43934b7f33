"""A forked child of a process that has translated with two threads translates, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys
from translate.api import load_translator

translator, lines = load_translator(sys.argv[1], "cpu", sys.argv[2]), ["I love apples.", "The cat sat."] * 3
expected = translator.translate(lines)
if child := os.fork():
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
sys.exit(0 if translator.translate(lines) == expected else 3)
"""


@pytest.mark.parametrize("engine", ["torch", "ctranslate2"])
def test_forked_child_translates_like_its_parent(tiny_run: Path, engine: str) -> None:
    if engine == "ctranslate2":
        pytest.importorskip("ctranslate2", reason="CTranslate2 is an extra: pip install ctranslate2")
    command = [sys.executable, "-c", PROGRAM, tiny_run, engine]
    subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "2"}, check=True, timeout=60)
