"""Head roles: measures checked by brute force, and the names of specialized heads."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from translate import cli
from translate.attention.folder import About, Shape, write_about
from translate.attention.head_roles import MEASURES, Role, roles_of
from translate.attention.maps import AttentionMaps, Stack
from translate.model.attention_kinds import KINDS, Head, KindName

RANDOM = np.random.default_rng(1)
LENGTHS = [(5, 7), (2, 3), (9, 4), (1, 2), (6, 6)]  # pieces of source and target, `</s>` counted


def pieces(length: int) -> tuple[str, ...]:
    return (*(f"▁{number}" for number in range(length - 1)), "</s>")


def shape(kind: KindName, maps: AttentionMaps) -> tuple[int, int]:
    return len(maps.rows(kind)), len(maps.columns(kind))


def visible(kind: KindName, row: int, source: int, target: int) -> int:
    """The number of keys that a row can see."""
    return {"cross": source, "encoder": source, "decoder": row + 1, "self": max(source, row + 1)}[kind]


def sentence(source: int, target: int) -> AttentionMaps:
    """Random maps with 2 layers and 3 heads; for the decoder, only layer 4 was kept. Rows of `cross` sum to 2/3."""
    sides: dict[KindName, tuple[int, int]] = {
        "cross": (target, source),
        "encoder": (source, source),
        "decoder": (target, target),
        "self": (source + target, source + target),
    }
    stacks = {}
    for kind, (rows, columns) in sides.items():
        weights = RANDOM.random((1 if kind == "decoder" else 2, 3, rows, columns)).astype(np.float32) ** 3
        for row in range(rows):
            weights[..., row, visible(kind, row, source, target) :] = 0
        weights /= weights.sum(-1, keepdims=True) * (1.5 if kind == "cross" else 1)
        stacks[kind] = Stack(weights, (4,) if kind == "decoder" else (0, 1))
    return AttentionMaps(pieces(source), pieces(target), stacks)


def rows_of(maps: AttentionMaps, kind: KindName, layer: int, head: int) -> Iterator[tuple[int, list[float]]]:
    """The rows with more than one visible key: their numbers and the weights of the visible keys."""
    stack = maps.stacks[kind]
    weights = stack.weights[stack.layers.index(layer), head].tolist()
    for t, row in enumerate(weights):
        keys = row[: visible(kind, t, len(maps.source), len(maps.target))]
        if len(keys) > 1:
            yield t, keys


def slowly(sentences: list[AttentionMaps], role: Role) -> dict[str, float | None]:
    """The measures computed directly from their definitions, one number at a time."""
    values: dict[str, list[float]] = {measure: [] for measure in MEASURES}
    for maps in sentences:
        num_rows, num_columns = shape(role.head.kind, maps)
        for t, keys in rows_of(maps, *role.head):
            diagonal = math.floor((t + 0.5) / num_rows * num_columns)
            shares = [weight / sum(keys) for weight in keys]
            entropy = -sum(share * math.log(share) for share in shares if share)
            values["entropy"].append(entropy)
            values["normalized_entropy"].append(entropy / math.log(len(keys)))
            values["first"].append(keys[0])
            if role.head.kind != "decoder":
                values["end"].append(keys[len(maps.source) - 1])
            for measure, column in ("previous", diagonal - 1), ("diagonal", diagonal), ("next", diagonal + 1):
                if 0 <= column < len(keys):
                    values[measure].append(keys[column])
            values["distance"].append(sum(share * abs(j - diagonal) for j, share in enumerate(shares)))
    return {measure: sum(each) / len(each) if each else None for measure, each in values.items()}


def test_measures_match_brute_force() -> None:
    sentences = [sentence(*lengths) for lengths in LENGTHS]
    roles = roles_of(iter(sentences))
    assert [tuple(role.head) for role in roles] == [
        (kind, layer, head)
        for kind in KINDS
        for layer in ([4] if kind == "decoder" else [0, 1])
        for head in range(3)
    ]  # fmt: skip
    for role in roles:
        expected = slowly(sentences, role)
        assert role.figures.keys() == expected.keys()
        for measure, value in role.figures.items():
            assert value == (expected[measure] and pytest.approx(expected[measure], rel=1e-5)), (role.head, measure)
        assert role.num_rows == sum(len(list(rows_of(maps, role.head.kind, role.head.layer, 0))) for maps in sentences)


@pytest.mark.parametrize("kind", ["encoder", "cross"])
def test_monotonicity_is_the_weighted_correlation_of_positions(kind: KindName) -> None:
    sentences = [sentence(*lengths) for lengths in LENGTHS]
    here, there, weights = [], [], []
    for maps in sentences:
        num_rows, num_columns = shape(kind, maps)
        for t, keys in rows_of(maps, kind, 1, 2):
            if words := sum(keys[:-1]):
                here.append((t + 0.5) / num_rows)
                there.append(sum(w * (j + 0.5) / num_columns for j, w in enumerate(keys[:-1])) / words)
                weights.append(words)
    covariance = np.cov(here, there, aweights=weights, ddof=0)
    expected = covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1])
    (role,) = (role for role in roles_of(sentences) if role.head == (kind, 1, 2))
    assert role.monotonicity == pytest.approx(expected, abs=1e-6)


def constructed(kind: KindName, columns: list[int]) -> AttentionMaps:
    """A single head whose row t attends only to columns[t]."""
    num_columns = len(columns) if kind != "cross" else 8
    weights = np.eye(num_columns, dtype=np.float32)[columns][None, None]
    source = pieces(num_columns if kind != "decoder" else 4)
    target = pieces(len(columns) if kind != "encoder" else 4)
    return AttentionMaps(source, target, {kind: Stack(weights, (0,))})


@pytest.mark.parametrize(
    ("kind", "columns", "name"),
    [
        ("encoder", [1, 0, 1, 2, 3, 4, 5, 6], "previous-token"),
        ("decoder", [0, 0, 1, 2, 3, 4, 5, 6], "previous-token"),
        ("encoder", [1, 2, 3, 4, 5, 6, 7, 0], "next-token"),
        ("encoder", [0, 1, 2, 3, 4, 5, 6, 7], "diagonal"),
        ("decoder", [0, 1, 2, 3, 4, 5, 6, 7], "diagonal"),
        ("cross", [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7], "diagonal"),
        ("encoder", [7] * 8, "attention sink"),
        ("cross", [7] * 8, "attention sink"),
        ("decoder", [0] * 8, "attention sink"),
        ("cross", [1, 0, 3, 2, 5, 4, 6, 7], "alignment"),  # words in another order
        ("cross", [6, 5, 4, 3, 2, 1, 0, 7], None),
        ("encoder", [3, 7, 5, 6, 0, 1, 2, 4], None),
    ],
)
def test_a_specialized_head_is_named(kind: KindName, columns: list[int], name: str | None) -> None:
    (role,) = roles_of([constructed(kind, columns)] * 3)
    assert role.name == name


@pytest.mark.parametrize(("kind", "is_causal"), [*((kind, False) for kind in KINDS), ("self", True)])
def test_a_head_that_attends_uniformly_is_broad(kind: KindName, is_causal: bool) -> None:
    weights = np.ceil(sentence(9, 9).stack(kind).weights)
    weights = np.tril(weights) if is_causal else weights  # source pieces that attend only backward
    maps = AttentionMaps(
        pieces(9), pieces(9), {kind: Stack(weights / weights.sum(-1, keepdims=True), (0, 1)[: len(weights)])}
    )
    role = roles_of([maps])[0]
    assert role.name == "broad"
    assert role.figures["normalized_entropy"] == pytest.approx(1)


def test_a_known_alignment_head_is_named_so() -> None:
    sentences = [sentence(*lengths) for lengths in LENGTHS]
    aligned_head = Head("cross", 1, 2)
    assert [role.head for role in roles_of(sentences, aligned_head) if role.name == "alignment"] == [aligned_head]


def test_a_split_line_counts_as_its_parts() -> None:
    parts = [sentence(4, 5), sentence(3, 2)]
    stacks = {}
    for kind in KINDS:
        one, two = (part.stacks[kind].weights for part in parts)
        whole = np.zeros((*one.shape[:2], one.shape[2] + two.shape[2], one.shape[3] + two.shape[3]), dtype=np.float32)
        whole[:, :, : one.shape[2], : one.shape[3]], whole[:, :, one.shape[2] :, one.shape[3] :] = one, two
        if kind == "self":  # the source of both parts, 4 and 3 pieces, then the target of both, 5 and 2
            order = [*range(4), *range(9, 12), *range(4, 9), *range(12, 14)]
            whole = whole[:, :, order][..., order]
        stacks[kind] = Stack(whole, parts[0].stacks[kind].layers)
    joined = AttentionMaps(parts[0].source + parts[1].source, parts[0].target + parts[1].target, stacks)
    assert roles_of([joined]) == roles_of(parts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The sentences as an attention folder, with an empty line in between; cross.0.1 is a known alignment head."""
    path = tmp_path / "maps"
    path.mkdir()
    about = About(
        "run", "", dict.fromkeys(KINDS, Shape(2, 3)), tuple(KINDS), None, "float32", "float32", {"layer": 0, "head": 1}
    )
    with (path / "index.jsonl").open("w", encoding="utf-8") as index:
        for number, lengths in enumerate([*LENGTHS, None], start=1):
            name = f"{number:06d}.npz" if lengths else None
            if lengths:
                maps = sentence(*lengths)
                decoder = Stack(maps.stacks["decoder"].weights.repeat(2, axis=0), (0, 1))
                replace(maps, stacks={**maps.stacks, "decoder": decoder}).save(path / str(name))
            entry = {"id": number, "file": name, "source": "", "translation": "", "score": 0.0, "warnings": []}
            index.write(json.dumps(entry) + "\n")
    write_about(path, about)
    return path


def test_the_command_prints_one_line_per_head_or_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._run(["attention", "roles", str(folder)]) == 0
    printed = capsys.readouterr()
    table = printed.out.splitlines()
    assert "may be chance" in printed.err  # of so few rows
    assert cli._run(["attention", "roles", str(folder), "--json"]) == 0
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.split()[0] for line in table if line.split(".")[0] in KINDS] == [each["label"] for each in objects]
    known = next(line for line in table if line.startswith("cross.0.1"))
    assert known.endswith("alignment")
    assert {"entropy", "normalized_entropy", "end", "name", "monotonicity"} <= objects[0].keys()
    assert cli._run(["attention", "roles", str(folder), "--kind", "decoder"]) == 0
    assert "cross" not in capsys.readouterr().out


def test_the_figure_is_saved_in_both_formats(folder: Path, tmp_path: Path) -> None:
    png, svg = tmp_path / "roles.png", tmp_path / "roles.svg"
    command = ["attention", "roles", str(folder), "--kind", "cross"]
    assert cli._run([*command, "--png", str(png), "--svg", str(svg)]) == 0
    assert matplotlib.image.imread(png).ndim == 3
    assert "alignment" in svg.read_text(encoding="utf-8")
    assert cli._run(["attention", "roles", str(folder), "--png", str(svg)]) == 2
