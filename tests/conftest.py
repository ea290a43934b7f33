"""Shared fixtures: a tiny corpus, a run trained on it, and a browser."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.helpers.corpora import TOY, head
from tests.helpers.pages import SENTENCES
from tests.helpers.runs import (
    ARCHITECTURES,
    TINY,
    changed,
    draw_quickly,
    of_architecture,
    sync_nothing,
    train_into,
    train_vocab_once,
    untrained,
    with_model,
)
from translate.api import load_translator
from translate.config.settings import Config
from translate.config.toml import load_config
from translate.decoding.line_translator import LineTranslator
from translate.report.page.frame import InitialView
from translate.report.page.writer import write_page
from translate.run.folder import Run

# The same few examples each time; HYPOTHESIS_PROFILE=long looks for new ones, and for a long time.
settings.register_profile("default", derandomize=True, deadline=None, max_examples=40)
settings.register_profile("long", deadline=None, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure() -> None:
    """Restore SIGINT, which shells ignore in background jobs: tests of signals send it to processes that inherit it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Exempt PyTorch and the 400,000 objects of all tests from each later search for garbage, which takes 0.3 s."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def quick_and_quiet() -> Iterator[None]:
    """Disable curves and syncing in this process; tests/report/test_curves.py and subprocesses still draw and sync.

    The same vocabulary is trained only once. No job counts as long, so that what is printed does not depend on the
    machine.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("translate.report.progress.DELAY", 3600.0)
        patch.setattr("translate.training.log.save_curves", draw_quickly)
        patch.setattr("os.fsync", sync_nothing)
        patch.setattr("translate.training.prepare.train_vocab", train_vocab_once)
        yield


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the first lines of the toy corpus: train.en, train.fr (200), valid.en, valid.fr (20).

    Those of valid are sorted by length: validations translate the first ones, and a short line takes few steps.
    """
    folder = tmp_path_factory.mktemp("corpus")
    for part, count in ("train", 200), ("valid", 20):
        sides = [head(TOY / f"{part}.{language}", count).splitlines() for language in ("en", "fr")]
        pairs = list(zip(*sides, strict=True))
        if part == "valid":
            pairs.sort(key=lambda pair: len(pair[0]))
        for language, lines in zip(("en", "fr"), zip(*pairs, strict=True), strict=True):
            (folder / f"{part}.{language}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_config(corpus: Path) -> Config:
    paths = {
        "data.train_src": str(corpus / "train.en"),
        "data.train_tgt": str(corpus / "train.fr"),
        "data.valid_src": str(corpus / "valid.en"),
        "data.valid_tgt": str(corpus / "valid.fr"),
    }
    return load_config(None, TINY | paths)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config) -> Path:
    """A run trained for 60 steps: enough for varied output, but not for good translations."""
    path = tmp_path_factory.mktemp("runs") / "tiny"
    train_into(path, changed(tiny_config, "train", max_steps=60))
    return path


@pytest.fixture(scope="session")
def other_run(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config, tiny_run: Path) -> Path:
    """A run trained for 30 steps from another seed, with the vocabulary of `tiny_run`."""
    path = tmp_path_factory.mktemp("runs") / "other"
    config = changed(tiny_config, "vocab", model=str(tiny_run / "vocab.model"))
    train_into(path, changed(config, "train", max_steps=30, seed=2))
    return path


@pytest.fixture(scope="session", params=["transformer", "recurrent", "decoder-only"])
def any_run(request: pytest.FixtureRequest, tiny_run: Path, recurrent_run: Path, decoder_only_run: Path) -> Path:
    """A run with attention, of each architecture; only the Transformer is trained."""
    return {"transformer": tiny_run, "recurrent": recurrent_run, "decoder-only": decoder_only_run}[request.param]


@pytest.fixture(scope="session")
def recurrent_run(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config, tiny_run: Path) -> Path:
    config = of_architecture(tiny_config, "recurrent")
    return untrained(tmp_path_factory.mktemp("runs") / "recurrent", config, Run(tiny_run).load_vocabs()).path


@pytest.fixture(scope="session")
def decoder_only_run(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config, tiny_run: Path) -> Path:
    config = of_architecture(tiny_config, "decoder-only")
    return untrained(tmp_path_factory.mktemp("runs") / "decoder-only", config, Run(tiny_run).load_vocabs()).path


@pytest.fixture(scope="session")
def no_attention_run(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config, tiny_run: Path) -> Path:
    config = of_architecture(tiny_config, "recurrent", attention="none")
    return untrained(tmp_path_factory.mktemp("runs") / "none", config, Run(tiny_run).load_vocabs()).path


@pytest.fixture(scope="session")
def translator(tiny_run: Path) -> LineTranslator:
    return load_translator(tiny_run, "cpu")


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config, tiny_run: Path) -> Callable[[str], Path]:
    """Of an architecture, a run with the vocabulary of `tiny_run`, trained for 30 steps."""

    @cache
    def trained(architecture: str) -> Path:
        if architecture == "transformer":
            return tiny_run
        path = tmp_path_factory.mktemp("runs") / architecture
        config = changed(with_model(tiny_config, architecture), "vocab", model=str(tiny_run / "vocab.model"))
        train_into(path, changed(config, "train", max_steps=30))
        return path

    return trained


@pytest.fixture(scope="module", params=ARCHITECTURES)
def each_run(run_of: Callable[[str], Path], request: pytest.FixtureRequest) -> Path:
    """A run of each architecture."""
    return run_of(request.param)


@pytest.fixture(scope="module")
def each_translator(each_run: Path) -> LineTranslator:
    return load_translator(each_run, "cpu")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium; tests that need it are skipped if it or Playwright is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def window(browser: Any) -> Any:
    """A browser window shared by all tests, for speed."""
    return browser.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce").new_page()


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An attention page of `pages.SENTENCES`."""
    path = tmp_path_factory.mktemp("page") / "index.html"
    write_page(path, "Attention of tests", SENTENCES, InitialView("cross", 1, 2, False), None)
    return path


@pytest.fixture
def page(window: Any) -> Iterator[Any]:
    """The window, after checking that tests cause no errors and no network requests."""
    troubles: list[str] = []

    def complain(message: Any) -> None:
        troubles.append(str(message))

    def note(request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            troubles.append(request.url)

    def listen(message: Any) -> None:
        if message.type in ("error", "warning"):
            troubles.append(message.text)

    listeners = {"pageerror": complain, "request": note, "console": listen}
    for event, listener in listeners.items():
        window.on(event, listener)
    yield window
    for event, listener in listeners.items():
        window.remove_listener(event, listener)
    assert troubles == []
