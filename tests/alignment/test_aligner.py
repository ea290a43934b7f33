"""Compare error rates with sets and every setting with plain loops; check errors in gold files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.alignments import (
    SOURCE,
    TARGET,
    align_by_hand,
    alignments,
    largest,
    maps_between,
    points,
    random_maps,
    text_of,
)
from translate.alignment.aligner import Pairing, try_all
from translate.alignment.error_rate import Errors, Gold, GoldFile
from translate.alignment.methods import (
    MapChoice,
)
from translate.alignment.settings import AlignmentOptions, Directions
from translate.alignment.sources import MappedPair
from translate.attention.maps import AttentionMaps
from translate.errors import UserError


@settings(deadline=None, max_examples=60)
@given(alignments, st.integers(1, 4))
def test_error_rates_match_sets_and_stay_within_bounds(two: list[np.ndarray], times: int) -> None:
    links, possible = two
    sure = possible & (np.arange(possible.size).reshape(possible.shape) % 2 == 0)
    errors = Errors(1)
    for _ in range(times):  # a corpus said several times has the same rates
        errors.add(links, Gold(sure[0], possible[0]))
    a, s, p = points(links[0]), points(sure[0]), points(possible[0])
    assert errors.num_sure == times * len(s)
    if not s:
        return
    (score,) = errors.scores()
    assert score.error_rate == pytest.approx(1 - (len(a & s) + len(a & p)) / (len(a) + len(s)))
    assert score.precision == pytest.approx(len(a & p) / max(len(a), 1))
    assert score.recall == pytest.approx(len(a & s) / len(s))
    assert all(0 <= rate <= 1 for rate in score)
    perfect = Errors(1)
    perfect.add(possible, Gold(sure[0], possible[0]))
    assert perfect.scores() == [(0.0, 1.0, 1.0)]


class Given:
    """Lines with maps, as provided by a folder or a run."""

    def __init__(self, maps: list[AttentionMaps | None]) -> None:
        self.path, self.layers, self.num_heads, self.weights, self.alignment = Path("given"), (0, 1), 3, "x", None
        self._maps = maps

    def pairs(self, layer: int | None):
        for maps in self._maps:
            source, target = (maps.source, maps.target) if maps else (SOURCE, TARGET)
            yield MappedPair(text_of(source), text_of(target), maps)


def test_every_setting_matches_plain_loops_and_sets(tmp_path: Path) -> None:
    maps = [random_maps(seed=seed) for seed in range(6)]
    backward = [random_maps(TARGET, SOURCE, seed=seed) for seed in range(10, 16)]
    gold = tmp_path / "gold"
    gold.write_text("0-0 1-1 2p2\n\n0-0 1?1 2-2\n2-0 2-0 2p0\n1-1\n0-2 1-1 2-0\n")
    pairing = Pairing(Given([*maps[:4], None, maps[5]]), Given(backward))
    trial = try_all(pairing, pairing.choices(), AlignmentOptions().configs(is_both_ways=True), GoldFile(gold))
    assert trial.num_lines == 6
    assert len(pairing.choices()) == len(set(pairing.choices()))
    assert (
        len(trial.results)
        == len(pairing.choices()) * len(set(AlignmentOptions().configs(True)))
        == 9 * 2 * (2 * (6 + 8) + 5)
    )
    sure = [{(0, 0), (1, 1)}, set(), {(0, 0), (2, 2)}, {(2, 0)}, {(1, 1)}, {(0, 2), (1, 1), (2, 0)}]
    possible = [sure[0] | {(2, 2)}, set(), sure[2] | {(1, 1)}, *sure[3:]]
    for choice, config, score in trial.results[::7]:
        num_links = num_sure = num_possible = 0
        for n in (0, 1, 2, 3, 5):
            own = maps_between(maps[n], [choice], config.is_shifted)[0]
            other = maps_between(backward[n], [choice], config.is_shifted)[0]
            if config.directions == "together":
                own = np.sqrt(own * other.T)
            apart = (
                {(largest(row), s) for s, row in enumerate(other.tolist())} if config.directions == "apart" else None
            )
            found = {(s, t) for t, s in align_by_hand(own.tolist(), config.method, config.threshold or 0, apart)}
            num_links += len(found)
            num_sure += len(found & sure[n])
            num_possible += len(found & possible[n])
        expected = 1 - (num_sure + num_possible) / (num_links + sum(map(len, sure)))
        assert score.error_rate == pytest.approx(expected), (choice, config)
    best = {
        choice: min(r.score.error_rate for r in trial.results if r.choice == choice) for choice in pairing.choices()
    }
    assert {result.choice: result.score.error_rate for result in trial.best_of_maps()} == best
    assert trial.best.score.error_rate == min(best.values())


@pytest.mark.parametrize(
    ("options", "default", "expected"),
    [
        (AlignmentOptions(), None, "grow-diag"),
        (AlignmentOptions(), "together", "grow-diag, directions together"),
        (AlignmentOptions(), "apart", "grow-diag, directions apart"),
        (AlignmentOptions(threshold=0.2), "apart", "threshold 0.2"),
        (AlignmentOptions(threshold=0.2), "together", "threshold 0.2, directions together"),
        (AlignmentOptions(directions="together"), "apart", "grow-diag, directions together"),
    ],
)
def test_directions_are_combined_by_default(
    options: AlignmentOptions, default: Directions | None, expected: str
) -> None:
    assert str(options.config(default)) == expected


def test_both_directions_must_have_the_same_words(tmp_path: Path) -> None:
    gold = tmp_path / "gold"
    gold.write_text("0-0\n")
    pairing = Pairing(Given([random_maps()]), Given([random_maps(("▁x", "</s>"), SOURCE)]))
    with pytest.raises(UserError, match="line 1 has 3 source and 3 target words, but the other direction has 3 and 1"):
        try_all(pairing, [MapChoice()], AlignmentOptions().configs(True), GoldFile(gold))
    with pytest.raises(UserError, match="given ends after line 1; the other direction has more lines"):
        list(Pairing(Given([random_maps()]), Given([None, None])).pairs(None))


@pytest.mark.parametrize(
    ("text", "one_indexed", "message"),
    [
        (
            "0-0\n0-0 1_1\n",
            False,
            r"gold: line 2: '1_1' is not a link; a link from source word i to target word j is i-j \(sure\)",
        ),
        ("0-0\n-1-1\n", False, r"gold: line 2: '-1-1' is not a link"),
        ("0-0\n٣-1\n", False, r"gold: line 2: '٣-1' is not a link"),
        ("0-0\n3p1\n", False, r"gold: line 2: 3p1: the source has words 0 to 2; if the file counts from 1, add --one"),
        ("1-1\n1-4\n", True, r"gold: line 2: 1-4: the target has words 1 to 3$"),
        ("0-1\n1-1\n", True, r"gold: line 1: 0-1 refers to word 0; omit --one-indexed"),
        ("0-0\n", False, r"gold has fewer lines than given, which has 2"),
        ("0-0\n0-0\n0-0\n", False, r"gold has more lines than given, which has 2"),
        ("0p0\n0p0\n", False, r"gold has no sure links \(i-j\)"),
    ],
)
def test_invalid_gold_file_is_explained(tmp_path: Path, text: str, one_indexed: bool, message: str) -> None:
    gold = tmp_path / "gold"
    gold.write_text(text)
    pairing = Pairing(Given([random_maps(), random_maps(seed=2)]))
    with pytest.raises(UserError, match=message):
        try_all(pairing, [MapChoice()], AlignmentOptions().configs(False), GoldFile(gold, one_indexed))


def test_one_indexed_gold_links_score_the_same(tmp_path: Path) -> None:
    gold = tmp_path / "gold"
    scores = []
    for text, one_indexed in ("0-0 1p2\n", False), ("1-1 2?3\n", True):
        gold.write_text(text)
        pairing = Pairing(Given([random_maps()]))
        scores.append(
            try_all(pairing, pairing.choices(), AlignmentOptions().configs(False), GoldFile(gold, one_indexed))
        )
    assert scores[0] == scores[1]
