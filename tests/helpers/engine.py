"""Run the engine of the page, which is JavaScript, in Node. Tests that do so are skipped where Node is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from translate.report.page.engine_code import engine_code

NODE = shutil.which("node") or shutil.which("nodejs")
BEFORE = """"use strict";
(async () => {
"""
AFTER = """
})().then(
  (answer) => require("node:fs").writeFileSync(1, JSON.stringify(answer ?? null)),
  (error) => {
    console.error(error.stack, JSON.stringify(error.values ?? null));
    process.exitCode = 1;
  },
);
"""
INPUT = 'const input = JSON.parse(require("node:fs").readFileSync(0, "utf-8"));\n'


def run_engine(script: str, payload: object = None, timeout: float = 120) -> Any:
    """Run a script after the engine's code. The script sees the payload as `input` and returns a value for JSON."""
    if NODE is None:
        pytest.skip("Node.js is not installed")
    code = "".join((BEFORE, engine_code(), "\n", INPUT, script, AFTER))
    with subprocess.Popen(
        [NODE, "--input-type=commonjs", "--eval", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        answer, errors = process.communicate(json.dumps(payload).encode(), timeout)
    assert process.returncode == 0, errors.decode()[-3000:]
    return json.loads(answer)
