"""Comparing two attention folders: shares checked by brute force, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from translate import cli
from translate.attention.compare import compare
from translate.attention.folder import About, AttentionFolder, Shape, write_about
from translate.attention.maps import AttentionMaps, Stack
from translate.attention.views import MapView, difference
from translate.model.attention_kinds import KINDS, KindName
from translate.report.colours import Colours
from translate.report.terminal import draw_map

TEXT = [("a b </s>", "x y z </s>"), None, ("c </s>", "u </s>"), ("d e f </s>", "v w </s>")]


def maps(random: np.random.Generator, source: str, target: str, layers: tuple[int, ...]) -> AttentionMaps:
    src, tgt = tuple(source.split()), tuple(target.split())
    shapes: dict[KindName, tuple[int, int]] = {
        "cross": (len(tgt), len(src)),
        "encoder": (len(src), len(src)),
        "decoder": (len(tgt), len(tgt)),
        "self": (len(src + tgt), len(src + tgt)),
    }
    stacks = {}
    for kind, shape in shapes.items():
        weights = random.random((len(layers), 2, *shape)).astype(np.float32)
        weights = np.tril(weights) if kind == "decoder" else weights
        weights /= weights.sum(-1, keepdims=True)
        if kind == "cross":  # part of a map
            weights *= random.random(weights.shape[:-1], dtype=np.float32)[..., None]
        stacks[kind] = Stack(weights, layers)
    return AttentionMaps(src, tgt, stacks)


def write(path: Path, seed: int, layers: tuple[int, ...], text: list[tuple[str, str] | None]) -> AttentionFolder:
    path.mkdir()
    random = np.random.default_rng(seed)
    about = About("run", "", dict.fromkeys(KINDS, Shape(3, 2)), tuple(KINDS), layers, "float32", "float32", None)
    with (path / "index.jsonl").open("w", encoding="utf-8") as index:
        for number, pair in enumerate(text, start=1):
            name = f"{number:06d}.npz" if pair else None
            if pair:
                maps(random, *pair, layers).save(path / str(name))
            entry = {"id": number, "file": name, "source": "", "translation": "", "score": 0.0, "warnings": []}
            index.write(json.dumps(entry) + "\n")
    write_about(path, about)
    return AttentionFolder.open(path)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[AttentionFolder, AttentionFolder]:
    """Two folders with 3 lines each that have maps; line 3 has different translations, and both have layer 2."""
    other = [TEXT[0], TEXT[1], ("c </s>", "other </s>"), TEXT[3], ("more </s>", "more </s>")]
    return write(tmp_path / "one", 1, (0, 2), TEXT), write(tmp_path / "two", 2, (2,), other)


def test_the_share_of_moved_weight_matches_brute_force(
    folders: tuple[AttentionFolder, AttentionFolder],
) -> None:
    one, two = folders
    found = compare(one, two)
    assert (found.num_lines, found.num_compared) == (3, 2)
    assert found.shares.keys() == {(kind, 2, head) for kind in KINDS for head in (0, 1)}
    for head, share in found.shares.items():
        rows = []
        for line in 1, 4:
            first, second = (folder.maps_of_line(line).stacks[head.kind].weights for folder in folders)
            pairs = zip(first[1, head.head].tolist(), second[0, head.head].tolist(), strict=True)
            # What a row has more in one place it has less in others, which may lie outside the map.
            whole = [[[*row, 1 - sum(row)] for row in pair] for pair in pairs]
            rows += [sum(max(0.0, a - b) for a, b in zip(*pair, strict=True)) for pair in whole]
        assert share == pytest.approx(sum(rows) / len(rows), abs=1e-6)


def test_a_folder_does_not_differ_from_itself(folders: tuple[AttentionFolder, AttentionFolder]) -> None:
    assert set(compare(folders[0], folders[0]).shares.values()) == {0}


def test_a_difference_is_shown_with_signs_in_the_terminal() -> None:
    one = MapView(np.array([[0.9, 0.1, 0.0]], dtype=np.float32), ["x"], ["a", "b", "c"], "t", "", "")
    two = one._replace(weights=np.array([[0.1, 0.899, 0.001]], dtype=np.float32))
    assert draw_map(difference(one, two), 80, Colours.NONE).splitlines()[-1].split() == ["x", "+80", "-80", "·"]


def test_the_command_shows_the_difference_or_both_maps(
    folders: tuple[AttentionFolder, AttentionFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["attention", str(folders[0].path), "--compare", str(folders[1].path), "--layer", "2", "--head", "1"]
    assert cli._run(command) == 0
    text = capsys.readouterr().out
    cross = [folder.maps_of_line(1).cross[-1, 1] for folder in folders]
    assert f"{100 * float((cross[0] - cross[1])[0, 0]):+.0f}" in text.splitlines()[3].split()
    assert "2 of 3 common lines have the same pieces" in text
    assert cli._run([*command, "--sentence", "3"]) == 0
    assert "have different pieces" in capsys.readouterr().out
    assert cli._run([*command, "--kind", "encoder", "--sentence", "3"]) == 0
    assert "minus" in capsys.readouterr().out
    assert cli._run([*command, "--layer", "0"]) == 2
    assert cli._run(["attention", str(folders[0].path), "--compare", str(tmp_path / "no")]) == 2
    assert capsys.readouterr().err.count("\n") == 2
