"""Sentences and maps for the tests of the attention page, and helpers that operate it in a browser."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from translate.attention.maps import AttentionMaps, Stack
from translate.attention.views import view
from translate.report.page.writer import MapVersion, PageSentence

HOSTILE = (
    "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=2> <!-- <script> ]]> &lt; \" ' \u2028"
)


def maps_of(source: str, target: str, num_layers: int = 2, num_heads: int = 3, seed: int = 0) -> AttentionMaps:
    """Random maps of two sentences, in which spaces separate pieces; `</s>` is added."""
    src, tgt = (*source.split(), "</s>"), (*target.split(), "</s>")
    random = np.random.default_rng(seed)

    def stack(num_rows: int, num_columns: int, sees_all: bool = True) -> Stack:
        weights = np.exp(2 * random.normal(size=(num_layers, num_heads, num_rows, num_columns)))
        weights = weights if sees_all else np.tril(weights)
        return Stack((weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32), tuple(range(num_layers)))

    s, t = len(src), len(tgt)
    return AttentionMaps(src, tgt, {"cross": stack(t, s), "encoder": stack(s, s), "decoder": stack(t, t, False)})


def both_sides_of(maps: AttentionMaps, has_causal_source: bool = False, seed: int = 0) -> AttentionMaps:
    """Maps of a decoder-only model with as many layers and heads, and the same pieces."""
    num_source, num_target = len(maps.source), len(maps.target)
    sees = np.tri(num_source + num_target, dtype=bool)
    sees[:num_source, :num_source] |= not has_causal_source
    weights = np.random.default_rng(seed).random((*maps.cross.shape[:2], *sees.shape)) * sees
    weights = (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)
    layers = maps.stacks["cross"].layers
    block = weights[:, :, num_source:, :num_source]
    return replace(maps, stacks={"cross": Stack(block, layers), "self": Stack(weights, layers)})


def one_map_of(maps: AttentionMaps) -> AttentionMaps:
    """Maps of a recurrent model with the same pieces: one layer, one head."""
    return replace(maps, stacks={"cross": Stack(maps.cross[:1, :1], (0,))})


def sentence(number: int, maps: AttentionMaps) -> PageSentence:
    """A sentence with one set of maps."""
    source, target = (" ".join(side[:-1]) for side in (maps.source, maps.target))
    return PageSentence(number, source, target, -number / 10, (), (MapVersion("", maps),))


CAT = maps_of("▁The ▁c at ▁sat", "▁Le ▁ch at ▁as sis")
LATER = maps_of("▁The ▁c at ▁sat", "▁Le ▁ch at ▁as sis", seed=2)
OTHER = maps_of("▁The ▁c at ▁sat", "▁Un ▁chat", seed=3)
ARABIC = "▁جلست ▁القطة ▁على ▁السجادة"
EMOJI = "▁I ▁😀 ▁love ▁👩\u200d👩\u200d👧 ▁cafe\u0301"
STEPS = tuple(MapVersion(f"step {i}", maps, f"le chat {i}", -i) for i, maps in enumerate((CAT, LATER, OTHER)))
SNAPSHOTS = tuple(
    MapVersion(f"step {i}", maps_of("▁The ▁cat", "▁Le ▁chat", seed=i), written="la " * (5 - i), facts=(f"BLEU {i}.0",))
    for i in range(5)
)
SENTENCES = [
    replace(sentence(1, CAT), source="The cat sat", translation="Le chat assis", score=-0.5),
    replace(sentence(2, maps_of("▁a", "▁b ▁c")), source="Zebra", translation="ÉTÉ", score=-2.0, warnings=("odd",)),
    PageSentence(3, "", "", 0.0, (), ()),
    replace(sentence(4, maps_of(HOSTILE, HOSTILE)), source=HOSTILE, translation=HOSTILE, warnings=(HOSTILE,), score=-1),
    replace(sentence(5, maps_of(ARABIC, EMOJI)), source=ARABIC.replace("▁", ""), translation=EMOJI.replace("▁", "")),
    PageSentence(6, "steps", "pas", -1.0, (), STEPS),
    PageSentence(7, "two", "deux", -1.0, (), (MapVersion("runs/a", CAT), MapVersion("runs/b", LATER))),
]


TWO_FRAMES = "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))"


def visit(page: Any, file: Path, link: str = "") -> None:
    """Open the page and wait until its sentence is shown, and drawn again if its cards have other widths by then."""
    page.goto("about:blank")
    page.goto(f"{file.as_uri()}{link}")
    page.wait_for_selector("body[data-shown]")
    page.evaluate(TWO_FRAMES)


def weight_at(page: Any, kind: str, row: int, column: int, size: tuple[int, ...]) -> float:
    """Point at a cell and return the weight that the page shows, from 0 to 1."""
    cells = page.locator(f"[data-kind={kind}] .cell-canvas")
    cells.evaluate("each => each.scrollIntoView({ block: 'nearest' })")
    box = cells.bounding_box()
    x, y = (column + 0.5) * box["width"] / size[1], (row + 0.5) * box["height"] / size[0]
    page.mouse.move(box["x"] + x, box["y"] + y)
    said = page.locator("#tip").inner_text()
    assert page.locator("#spoken").text_content() == said
    match = re.search(r"([+−\d.]+)(?:%| points)$", said)
    assert match, said
    return float(match[1].replace("−", "-")) / 100


def assert_shows(page: Any, maps: AttentionMaps, kind: Any, layer: int | None, head: int | None, words: bool) -> None:
    shown = view(maps, kind, layer, head, words)
    size = shown.weights.shape
    for row, column in (0, 0), (size[0] - 1, size[1] - 1), (size[0] // 2, 1):
        assert weight_at(page, kind, row, column, size) == pytest.approx(shown.weights[row, column], abs=6e-5)
        labels = page.locator(f"[data-kind={kind}] .label.on").all_inner_texts()
        assert labels == [shown.columns[column], shown.rows[row]]


def listed(page: Any) -> list[int]:
    return [int(number) for number in page.locator("#rows .number").all_inner_texts()]
