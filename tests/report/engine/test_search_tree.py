"""The tree of a beam search in the page's engine, compared with `SearchTree`."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest

from tests.helpers.engine import run_engine
from translate.decoding.engine import SearchStep
from translate.decoding.search_tree import SearchTree

EOS, NAMES = 0, ("prefix", "logProbs", "beam", "piece", "scores", "ends", "kept")
SCRIPT = """
const numberOf = (each) => each ?? -Infinity; // JSON has no -Infinity
return input.map(({ steps, best }) => {
  const tree = new SearchTree();
  for (const { logProbs, scores, ...step } of steps) {
    tree.add({ ...step, logProbs: logProbs.map(numberOf), scores: scores.map(numberOf) });
  }
  return tree.nodes(best);
});
"""


def random_search(random: Random) -> tuple[list[SearchStep], list[int]]:
    """Return the steps of a search with random numbers, and the pieces of a translation that it finds."""
    size, vocab_size = random.randint(1, 6), random.randint(2, 9)
    beams, steps, finished = [(list[int](), 0.0)], list[SearchStep](), list[list[int]]()
    for _ in range(random.randint(1, 6)):
        pairs = [(beam, piece) for beam in range(len(beams)) for piece in range(vocab_size)]
        chosen = [(beams[beam][1] - random.choice([0.5, 1, 2.25, math.inf]), beam, piece) for beam, piece in pairs]
        chosen = sorted(chosen, key=lambda each: -each[0])[: 2 * size]
        log_probs, beam, piece = map(list, zip(*chosen, strict=True))
        ends = [each == EOS for each in piece]
        kept = sorted(range(len(chosen)), key=lambda i: (ends[i], i))[:size]
        extended = [[*beams[b][0], p] for b, p in zip(beam, piece, strict=True)]
        steps.append(SearchStep(extended[kept[0]], log_probs, beam, piece, [x / 2 for x in log_probs], ends, kept))
        finished += [extended[i] for i in range(min(size, len(chosen))) if ends[i] and log_probs[i] > -math.inf]
        beams = [(extended[i], log_probs[i]) for i in kept if not ends[i] and log_probs[i] > -math.inf]
        if not beams:
            break
    return steps, random.choice(finished) if finished else []


def test_the_nodes_are_those_of_python() -> None:
    random = Random(1)
    searches = [random_search(random) for _ in range(300)]
    expected = list[list[dict[str, Any]]]()
    for steps, best in searches:
        tree = SearchTree()
        for step in steps:
            tree.add(step)
        expected.append([node._asdict() for node in tree.nodes(best)])
    as_json = [
        {"steps": [dict(zip(NAMES, map(finite, step), strict=True)) for step in steps], "best": best}
        for steps, best in searches
    ]
    assert {node["state"] for nodes in expected for node in nodes} == {"kept", "dropped", "finished", "best"}
    for nodes, right in zip(run_engine(SCRIPT, as_json), expected, strict=True):
        assert [{**node, "behind": pytest.approx(node["behind"])} for node in right] == nodes


def finite(column: list[Any]) -> list[Any]:
    """Replace -inf, which JSON lacks, by None."""
    return [None if each == -math.inf else each for each in column]
