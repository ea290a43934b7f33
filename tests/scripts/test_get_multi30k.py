"""The download script, tested against a local server."""

from __future__ import annotations

import functools
import gzip
import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.scripts import SCRIPTS, load_script

REAL = Path(__file__).parents[3] / "shared" / "data" / "multi30k"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ModuleType, Path, str]]:
    """The script with checksums of small test files, the folder of these files, and its URL."""
    script, folder = load_script("get_multi30k"), tmp_path / "served"
    folder.mkdir()
    checksums = {}
    for name, num_lines in script.wanted(script.LANGUAGES, script.TESTS).items():
        text = f"a line of {name}\n".encode() * num_lines
        (folder / f"{name}.gz").write_bytes(gzip.compress(text))
        if name in script.SHA256_OF_TEXT:
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


def test_all_languages_and_test_sets_are_fetched_unless_some_are_named(
    served: tuple[ModuleType, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, _, url = served
    assert call(script, monkeypatch, "--url", url, "--to", tmp_path / "all") == 0
    found = {path.name.removesuffix(".gz") for path in (tmp_path / "all").iterdir()}
    assert len(found) == 22
    assert {"test_2018_flickr.cs", "test_2017_mscoco.fr", "test_2017_flickr.en", "train.cs"} <= found
    named = ["--languages", "de", "--tests", "2016_flickr"]
    assert call(script, monkeypatch, "--url", url, "--to", tmp_path / "some", *named) == 0
    assert {path.name.removesuffix(".gz") for path in (tmp_path / "some").iterdir()} == set(script.SHA256_OF_TEXT)


def test_a_file_without_a_known_checksum_must_have_the_known_number_of_lines(
    served: tuple[ModuleType, Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script, folder, url = served
    (folder / "val.fr.gz").write_bytes(gzip.compress(b"a line\n" * 1013))
    assert call(script, monkeypatch, "--url", url, "--to", tmp_path / "data") == 2
    assert "val.fr.gz: not the expected file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-5], lambda _: gzip.compress(b"other"), lambda _: b"<html>"]
)
def test_damaged_download_is_not_kept(
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
    assert "val.de.gz: not the expected file" in capsys.readouterr().err
    assert not (tmp_path / "data" / "val.de.gz").exists()


def test_missing_file_and_dead_server_are_reported_in_one_line(
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


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("HTTP/1.0 200 OK\r\nContent-Length: 500\r\n\r\nhalf", "IncompleteRead"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1ff\r\nhalf", "IncompleteRead"),
        ("HTTP/1.0 200 OK\r\n\r\nhalf", "its text differs"),
        ("HTTP/1.0 200 OK\r\nContent-Length: x\r\n\r\nhalf", "error: "),
        ("HTTP/1.0 302 Found\r\nLocation: http://192.0.2.1/train.en.gz\r\n\r\n", "redirected to another host"),
        ("HTTP/1.0 302 Found\r\nLocation: ftp://127.0.0.1/train.en.gz\r\n\r\n", "redirected to another host"),
        ("HTTP/1.0 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", "error: "),
        ("HTTP/1.0 500 Down\x1b[2J\r\n\r\n", "500: Down[2J;"),
        ("no HTTP at all\r\n\r\n", "error: "),
        ("", "closed connection"),
    ],
)  # fmt: skip
def test_invalid_response_is_reported_in_one_line_and_discarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str, said: str
) -> None:
    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(10_000)
            connection.sendall(answer.encode())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert call(load_script("get_multi30k"), monkeypatch, "--url", url, "--to", tmp_path / "data") == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.removesuffix("\n").isprintable()
    assert not list((tmp_path / "data").iterdir())


def test_redirect_on_the_same_host_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/there" else 302)
            self.send_header("Location", "/there")
            self.end_headers()
            self.wfile.write(b"content")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert load_script("get_multi30k").download(f"http://127.0.0.1:{server.server_port}/here") == b"content"
        server.shutdown()


@pytest.mark.parametrize(
    "url", ["nothing", "http://a b", "http://127.0.0.1:99999", "file:///", "http://[", "gopher://a"]
)
def test_invalid_url_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    assert call(load_script("get_multi30k"), monkeypatch, "--url", url, "--to", tmp_path) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(not REAL.is_dir(), reason="the Multi30k corpus is not beside this checkout")
def test_real_corpus_has_the_checksums(tmp_path: Path) -> None:
    named = ["--languages", "de", "--tests", "2016_flickr"]
    subprocess.run(
        [sys.executable, SCRIPTS / "get_multi30k", "--from", REAL, "--to", tmp_path, *named],
        check=True,
        capture_output=True,
    )
    assert len(list(tmp_path.glob("*.gz"))) == 6
