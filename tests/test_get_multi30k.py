"""The download script, against a server on this machine."""

from __future__ import annotations

import functools
import gzip
import http.server
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "get_multi30k"
REAL = Path(__file__).parents[2] / "shared" / "data" / "multi30k"


def load_script() -> ModuleType:
    loader = SourceFileLoader("get_multi30k", str(SCRIPT))
    spec = importlib.util.spec_from_loader("get_multi30k", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ModuleType, Path, str]]:
    """The script with checksums of small files of ours, the folder of these, and the URL that serves it."""
    script, folder = load_script(), tmp_path / "served"
    folder.mkdir()
    checksums = {}
    for name in script.SHA256_OF_TEXT:
        text = f"a line of {name}\n".encode()
        (folder / f"{name}.gz").write_bytes(gzip.compress(text))
        checksums[name] = script.hashlib.sha256(text).hexdigest()
    monkeypatch.setattr(script, "SHA256_OF_TEXT", checksums)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    monkeypatch.setattr(handler.func, "log_message", lambda *_: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield script, folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def call(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["get_multi30k", *map(str, arguments)])
    return int(script.main())


def test_files_are_downloaded_and_checked(
    served: tuple[ModuleType, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, folder, url = served
    target = tmp_path / "data"
    assert call(script, monkeypatch, "--url", url, "--to", target) == 0
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    for path in folder.iterdir():
        path.unlink()
    assert call(script, monkeypatch, "--url", url, "--to", target) == 0  # what is there is not fetched again


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-5], lambda _: gzip.compress(b"other"), lambda _: b"<html>"]
)
def test_a_damaged_download_is_not_kept(
    served: tuple[ModuleType, Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: object,
) -> None:
    script, folder, url = served
    path = folder / "val.de.gz"
    path.write_bytes(damage(path.read_bytes()))
    assert call(script, monkeypatch, "--url", url, "--to", tmp_path / "data") == 2
    assert "val.de.gz: not the file that is expected" in capsys.readouterr().err
    assert not (tmp_path / "data" / "val.de.gz").exists()


def test_a_missing_file_and_a_dead_server_are_one_line(
    served: tuple[ModuleType, Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script, folder, url = served
    (folder / "train.en.gz").unlink()
    for where in ("--url", url), ("--url", "http://127.0.0.1:9"), ("--from", folder):
        assert call(script, monkeypatch, *where, "--to", tmp_path / "data") == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert said.startswith("error: train.en.gz: ")


@pytest.mark.skipif(not REAL.is_dir(), reason="the Multi30k corpus is not beside this checkout")
def test_the_real_corpus_has_the_checksums(tmp_path: Path) -> None:
    subprocess.run([sys.executable, SCRIPT, "--from", REAL, "--to", tmp_path], check=True, capture_output=True)
    assert len(list(tmp_path.glob("*.gz"))) == 6
