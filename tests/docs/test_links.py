"""README and docs: links resolve, README stays short, and the settings and files mentioned exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from translate.config.settings import Config

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/*/*.md"), *ROOT.glob("data/*/README.md")])
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
SETTING = re.compile(r"\b(?:data|vocab|model|train|decode)\.[a-z]\w+\b")
README_LINES = 160
FILES_NAMED_LIKE_SETTINGS = {"train.en", "train.de", "train.fr", "train.align", "train.log", "train.src", "train.tgt"}


def text_of(page: Path) -> str:
    """Return a page without its code blocks, where `#` starts a comment."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub generates for the headings of a page."""
    plain = (re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in HEADING.findall(text_of(page)))
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_anchors_resolve(page: Path) -> None:
    for link in LINK.findall(text_of(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors_of(target), f"{page.name}: {link}"


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_readme_stays_short(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8").count("\n") <= README_LINES


def test_every_guide_is_reachable_from_the_readme() -> None:
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        seen.add(page)
        links = (link.partition("#")[0] for link in LINK.findall(text_of(page)) if "://" not in link)
        pages = {(page.parent / link).resolve() for link in links if link.endswith(".md")}
        todo += [each for each in pages - seen if each.exists() and each not in todo]
    assert sorted(seen & set(PAGES)) == [page for page in PAGES if page.parent in (ROOT, ROOT / "docs")]


def test_the_last_words_of_quickstart_name_documents_that_exist() -> None:
    last = (ROOT / "scripts" / "quickstart").read_text(encoding="utf-8").partition("cat <<TEXT")[2]
    named = re.findall(r"\bdocs/[\w/.-]*\w", last)
    assert named, last
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_settings_mentioned_in_the_docs_exist() -> None:
    known = {f"{name}.{setting}" for name, section in Config().model_dump().items() for setting in section}
    for page in PAGES:
        if page.name != "CHANGELOG.md":  # which names those of its time
            code = " ".join(re.findall(r"`([^`\n]+)`", text_of(page)))
            named = set(SETTING.findall(code)) - FILES_NAMED_LIKE_SETTINGS
            assert named <= known | {name for name in named if name.endswith((".py", ".js", ".safetensors"))}, page.name


def test_architecture_page_lists_every_file() -> None:
    """Each file is listed once, under its package's heading."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    files = text[text.index("## The files") : text.index("## Where to make which change")]
    named = set()
    for chapter in files.split("\n### ")[1:]:
        title, _, body = chapter.partition("\n")
        packages = re.findall(r"(\w+)/", title)
        for row in re.findall(r"^\| (`.+?) \|", body, re.MULTILINE):
            folder = ""
            for name in re.findall(r"`([\w/]+\.py)`", row):
                # `attention/show.py`, `verify.py`: what follows is in the same folder.
                folder = name.rpartition("/")[0] or folder
                inside = f"{folder}/{name.rpartition('/')[2]}".strip("/")
                is_whole = len(packages) != 1
                named.add(inside if is_whole else f"{packages[0]}/{inside}")
    there = {str(path.relative_to(ROOT / "translate")) for path in (ROOT / "translate").rglob("*.py")}
    there = {path for path in there if "/" not in path or not path.endswith("__init__.py")}
    assert named == there


def test_architecture_page_lists_every_file_of_the_engine_with_its_counterpart() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    text = text[text.index("## The models in JavaScript") : text.index("## Where to make which change")]
    rows = re.findall(r"^\| (`.+?) \| (.+) \|$", text, re.MULTILINE)
    listed = sorted(name for files, _ in rows for name in re.findall(r"`(\w+\.js)`", files))
    engine = ROOT / "translate/report/page/engine"
    assert listed == sorted(path.name for path in engine.iterdir())
    for name in re.findall(r"`([\w/]+\.py)`", text):
        assert any((folder / name).exists() for folder in (ROOT, ROOT / "translate")), name


def test_files_listed_in_the_change_table_exist() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = text[text.index("## Where to make which change") : text.index("## How the promises are kept")]
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", table):
        assert (ROOT / "translate" / name).exists(), name


def test_tests_and_scripts_mentioned_in_the_docs_exist() -> None:
    for page in PAGES:
        if page.name != "CHANGELOG.md":
            for name in re.findall(r"`((?:tests|scripts|configs)/[\w./-]+)`", text_of(page)):
                assert (ROOT / name).exists(), f"{page.name}: {name}"
