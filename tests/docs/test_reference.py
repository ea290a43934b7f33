"""The generated pages in docs/ are up to date."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    subprocess.run([sys.executable, ROOT / "scripts" / "make_reference", folder], check=True)
    return folder


@pytest.mark.parametrize("page", ["settings.md", "cli.md"])
def test_reference_is_current(generated: Path, page: str) -> None:
    current = (generated / page).read_text("utf-8")
    assert (ROOT / "docs" / page).read_text("utf-8") == current, f"docs/{page} is stale: run scripts/make_reference"
