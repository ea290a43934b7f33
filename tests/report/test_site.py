"""The folder for a static host, which Chromium visits on the loopback, then without a network. Skipped without it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

from tests.helpers.pages import HOSTILE, SENTENCES
from tests.helpers.static_host import StaticHost, visiting
from translate.errors import UserError
from translate.report.page.frame import InitialView
from translate.report.page.site import write_site
from translate.report.page.writer import page_text

IS_REPLACED = "(copy) => caches.keys().then((names) => !names.includes(copy))"
HAS_FAILED = """() => Promise.all([caches.keys(), navigator.serviceWorker.getRegistration()]).then(
  ([names, registration]) => names.length && !registration
)"""


@pytest.fixture
def host(tmp_path: Path) -> StaticHost:
    return StaticHost(tmp_path)


@pytest.fixture
def visitor(browser: Any, host: StaticHost) -> Iterator[Any]:
    with visiting(browser, host) as page:
        yield page


def export(folder: Path, title: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    write_site(folder, title, page_text(title, SENTENCES[:1], InitialView()))


def wait_until(page: Any, expression: str, value: object = None) -> None:
    for _ in range(600):
        if page.evaluate(expression, value):
            return
        page.wait_for_timeout(50)
    raise AssertionError(expression)


def copies(page: Any) -> list[str]:
    names: list[str] = page.evaluate("caches.keys()")
    return names


def test_after_one_visit_the_page_opens_without_a_network_and_another_export_replaces_it(
    visitor: Any, host: StaticHost
) -> None:
    export(host.folder, "One")
    visitor.goto(host.url)
    visitor.evaluate(
        "navigator.serviceWorker.ready.then(() => caches.open(`translate ${location.origin}/a%20path/ old`))"
    )
    (first,) = [name for name in copies(visitor) if host.url in name]
    export(host.folder, "Two")
    visitor.goto("about:blank")
    visitor.goto(host.url)  # shows the copy, and looks for another export
    assert visitor.title() == "One"
    wait_until(visitor, IS_REPLACED, first)
    host.stop()
    for link in "", "index.html", "?from=mail#k=cross":
        visitor.goto("about:blank")
        visitor.goto(host.url + link)
        assert (visitor.title(), visitor.inner_text("#source")) == ("Two", "The cat sat")
    assert len(copies(visitor)) == 2  # that of another folder remains


def test_no_copy_is_made_of_a_half_uploaded_export(visitor: Any, host: StaticHost) -> None:
    export(host.folder, "One")
    page = (host.folder / "index.html").read_bytes()
    export(host.folder, "Two")
    (host.folder / "index.html").write_bytes(page)
    visitor.goto(host.url)
    assert visitor.title() == "One"
    wait_until(visitor, HAS_FAILED)
    assert visitor.evaluate("caches.match(location.href)") is None


def test_browsers_can_install_the_page(visitor: Any, host: StaticHost) -> None:
    export(host.folder, HOSTILE)
    visitor.goto(host.url)
    session = visitor.context.new_cdp_session(visitor)
    found = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert {error["errorId"] for error in found} <= {"in-incognito"}  # as every window of the tests
    answer = session.send("Page.getAppManifest")
    assert answer["errors"] == []
    manifest = json.loads(answer["data"])
    assert manifest["name"] == HOSTILE
    assert answer["manifest"]["startUrl"] == answer["manifest"]["scope"] == host.url
    for icon in manifest["icons"]:
        pixels = imread(host.folder / icon["src"])
        assert "{1}x{0}".format(*pixels.shape) == icon["sizes"]
        assert len({*map(bytes, pixels.reshape(-1, pixels.shape[2]))}) > 5  # shades of the map
    assert {icon["purpose"] for icon in manifest["icons"]} == {"any", "maskable"}


def test_the_service_worker_differs_if_and_only_if_a_file_does(tmp_path: Path) -> None:
    for name, title in ("a", "One"), ("b", "One"), ("c", "Two"):
        export(tmp_path / name, title)
    a, b, c = ((tmp_path / name / "service-worker.js").read_text(encoding="utf-8") for name in "abc")
    assert a == b != c


def test_all_addresses_are_relative(tmp_path: Path) -> None:
    export(tmp_path / "site", "One")
    names = {path.name for path in (tmp_path / "site").iterdir()}
    head, _, _ = (tmp_path / "site" / "index.html").read_text(encoding="utf-8").partition("</head>")
    assert {*re.findall(r'(?:href|register)[=(]"([^"]+)"', head)} - {"data:,"} < names


def test_a_folder_with_other_files_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UserError, match="already exists and contains other files"):
        write_site(tmp_path, "t", page_text("t", [], InitialView()))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
