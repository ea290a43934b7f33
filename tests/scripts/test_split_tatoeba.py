"""Tatoeba's list is split by English sentence, regardless of its format."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "split_tatoeba"
LINES = [f"Sentence {n // 2}.\tPhrase {n} !\tCC-BY 2.0 (France)" for n in range(5000)]


def split(file: Path, to: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, file, "--to", to], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["fra.txt", "eng-fra.tsv.gz", "fra-eng.zip"])
def test_every_pair_is_in_one_split_and_no_sentence_is_in_two(tmp_path: Path, name: str) -> None:
    content = ("\r\n".join(LINES) + "\r\n").encode()
    file = tmp_path / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("fra.txt", content)
    else:
        file.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    done = split(file, tmp_path / "parts")
    assert done.returncode == 0, done.stderr
    parts = {}
    for part in "train", "valid", "test":
        src, tgt = ((tmp_path / "parts" / f"{part}.{side}").read_text().splitlines() for side in ("en", "fr"))
        parts[part] = list(zip(src, tgt, strict=True))
    sources = {part: {src for src, _ in pairs} for part, pairs in parts.items()}
    assert [len(sources[part]) for part in ("train", "valid", "test")] == [500, 1000, 1000]
    assert not sources["train"] & sources["valid"] | sources["train"] & sources["test"]
    assert not sources["valid"] & sources["test"]
    assert sorted(pair for pairs in parts.values() for pair in pairs) == sorted(
        (line.split("\t")[0], line.split("\t")[1]) for line in LINES
    )


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("fra.txt", b"only one column\n", "line 1 is not English, a tab, French"),
        ("fra.txt", b"a\tb\n", "1 pairs are too few"),
        ("fra.txt", b"\xff\xfe", "utf-8"),
        ("fra.gz", b"no gzip", "gzip"),
        ("fra.zip", b"no zip", "zip"),
    ],
)
def test_invalid_list_is_reported_in_one_line(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    done = split(tmp_path / name, tmp_path / "parts")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert reason in done.stderr
    assert not (tmp_path / "parts").exists()


def test_manual_links_connect_existing_words(tmp_path: Path) -> None:
    real = Path(__file__).parents[3] / "shared" / "data" / "tatoeba" / "eng-fra.tsv.gz"
    if not real.exists():
        pytest.skip("the corpus is not on this machine")
    assert split(real, tmp_path).returncode == 0
    for part in "valid", "test":
        sides = [(tmp_path / f"gold-{part}.{side}").read_text().split("\n")[:-1] for side in ("en", "fr", "align")]
        assert [len(side) for side in sides] == [20, 20, 20]
        for src, tgt, links in zip(*sides, strict=True):
            pairs = [tuple(map(int, link.replace("p", "-").split("-"))) for link in links.split()]
            assert {j for _, j in pairs} == set(range(len(tgt.split())))
            assert max(i for i, _ in pairs) < len(src.split())
