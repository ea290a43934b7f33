"""The wheel is complete: it works without the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from translate import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built offline from a copy, because setuptools writes next to the sources."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "translate", folder / "copy" / "translate", ignore=shutil.ignore_patterns("__pycache__"))
    for name in "pyproject.toml", "README.md", "LICENSE":
        shutil.copy(ROOT / name, folder / "copy")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", folder, folder / "copy"], check=True)
    (path,) = folder.glob("*.whl")
    return path


def test_wheel_has_name_version_and_command(wheel: Path) -> None:
    assert wheel.name == f"translate_attention-{__version__}-py3-none-any.whl"
    with ZipFile(wheel) as archive:
        (entry_points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "translate = translate.__main__:main" in archive.read(entry_points).decode()


def test_wheel_decodes_and_writes_pages_without_the_repository(wheel: Path, tiny_run: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}

    def command(*arguments: object) -> str:
        words = [sys.executable, "-m", "translate", *map(str, arguments)]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = [sys.executable, "-c", "import translate; print(translate.__file__)"]
    assert subprocess.check_output(where, cwd=tmp_path, env=environment, text=True).startswith(str(tmp_path))
    assert command("--version") == f"translate {__version__}\n"
    translation = command("decode", tiny_run, "The cat sat.", "--attention", "maps", "--device", "cpu")
    assert translation.count("\n") == 1
    assert "</html>" in (tmp_path / "maps" / "index.html").read_text("utf-8")
