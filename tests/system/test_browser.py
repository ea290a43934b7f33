"""Pages are opened in the user's browser, which a small program stands for."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest

from translate import cli


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file to which the browser writes the address that it is given."""
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" >"{opened}"\n')
    browser.chmod(0o755)
    forget_browsers(monkeypatch)
    monkeypatch.setenv("BROWSER", str(browser))
    return opened


def forget_browsers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the module look for browsers again: it looks once per process."""
    monkeypatch.setattr(webbrowser, "_tryorder", None)
    monkeypatch.setattr(webbrowser, "_browsers", {})


def test_open_shows_the_page_of_the_attention_maps(
    opened: Path, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = tmp_path / "my maps"
    decode = ["decode", str(tiny_run), "I love apples.", "--device", "cpu", "--attention", str(maps)]
    assert cli._run(decode) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"attention maps: open {maps}/index.html in a browser"
    assert not opened.exists()
    assert cli._run([*decode, "--open"]) == 0
    assert opened.read_text() == (maps / "index.html").as_uri()


@pytest.mark.parametrize("text_browser", [False, True])
def test_without_a_browser_one_line_says_what_to_open(
    opened: Path,
    tiny_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text_browser: bool,
) -> None:
    for name in "BROWSER", "DISPLAY", "WAYLAND_DISPLAY":
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("PATH", str(tmp_path))
    if text_browser:
        (tmp_path / "browser").rename(tmp_path / "w3m")
    maps = tmp_path / "maps"
    command = ["decode", str(tiny_run), "I love apples.", "--device", "cpu", "--attention", str(maps), "--open"]
    assert cli._run(command) == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("no browser found; open ")
    assert (maps / "index.html").as_uri() in last
    assert not opened.exists()


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        (["decode", "RUN", "Hello."], "--open need --attention DIR"),
        (["score", "RUN", "--src", "a", "--tgt", "b"], "--open need --attention DIR"),
    ],
    ids=str,
)
def test_open_without_a_page_is_refused(
    tiny_run: Path, capsys: pytest.CaptureFixture[str], command: list[str], advice: str
) -> None:
    assert cli._run([str(tiny_run) if word == "RUN" else word for word in [*command, "--open"]]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert advice in captured.err
