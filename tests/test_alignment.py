"""Alignments against plain loops and the published pseudo code; error rates against sets; the command."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translate import cli
from translate.aligner import Pairing, try_all
from translate.alignment import (
    METHODS,
    MapChoice,
    align,
    all_choices,
    best_of_rows,
    combine,
    pharaoh,
    word_maps,
    words_of_text,
)
from translate.alignment_error import Errors, Gold, GoldFile
from translate.alignment_way import Asked, all_ways
from translate.attention_folder import AttentionFolder
from translate.errors import UserError
from translate.map_lines import Line
from translate.maps import AttentionMaps, Stack
from translate.stored_alignment import StoredAlignment

Set = set[tuple[int, int]]  # of (source word, target word)
SOURCE = ("▁The", "▁c", "at", "▁sat", ".", "</s>")
TARGET = ("▁Le", "▁ch", "a", "t", "▁s'", "assit", ".", "</s>")


def random_maps(source: tuple[str, ...] = SOURCE, target: tuple[str, ...] = TARGET, seed: int = 1) -> AttentionMaps:
    weights = np.random.default_rng(seed).dirichlet(np.full(len(source), 0.5), size=(2, 3, len(target)))
    return AttentionMaps(source, target, {"cross": Stack(weights.astype(np.float32), (0, 1))})


def text_of(pieces: tuple[str, ...]) -> str:
    return "".join(piece for piece in pieces if piece != "</s>").replace("▁", " ").strip()


def maps_between(maps: AttentionMaps, choices: list[MapChoice], is_shifted: bool) -> np.ndarray:
    found = word_maps(maps, text_of(maps.source), text_of(maps.target), choices, is_shifted)
    assert found is not None
    return found


def words_by_hand(pieces: tuple[str, ...]) -> list[list[int]]:
    words: list[list[int]] = []
    for place, piece in enumerate(pieces):
        if piece == "</s>":
            continue
        if piece.startswith("▁") or not words:
            words.append([])
        words[-1].append(place)
    return words


@pytest.mark.parametrize("is_shifted", [False, True])
def test_maps_of_words_are_those_of_plain_loops(is_shifted: bool) -> None:
    maps = random_maps()
    choices = all_choices((0, 1), 3)
    assert len(choices) == len(set(choices)) == 2 * 4 + 1
    merged = maps_between(maps, choices, is_shifted)
    for choice, each in zip(choices, merged, strict=True):
        for t, rows in enumerate(words_by_hand(TARGET)):
            for s, columns in enumerate(words_by_hand(SOURCE)):
                weights = [
                    sum(float(maps.cross[layer, head, row + is_shifted, column]) for column in columns)
                    for layer in range(2)
                    for head in range(3)
                    for row in rows
                    if choice.layer in (None, layer) and choice.head in (None, head)
                ]
                assert each[t, s] == pytest.approx(sum(weights) / len(weights), abs=1e-6)


def test_the_shifted_row_of_a_part_s_last_piece_is_its_own_end() -> None:
    """Of a line that was translated in parts, each with `</s>`."""
    source, target = ("▁a", "</s>", "▁b", "</s>"), ("▁x", "▁y", "</s>", "▁z", "</s>")
    maps = random_maps(source, target)
    assert np.allclose(maps_between(maps, [MapChoice(1, 2)], True)[0], maps.cross[1, 2][[1, 2, 4]][:, [0, 2]])


def test_a_side_without_words_gives_a_map_without_weights() -> None:
    assert maps_between(random_maps(target=("</s>",)), [MapChoice()], False).shape == (1, 0, 3)


@pytest.mark.parametrize(
    ("text", "pieces", "found"),
    [
        ("a b", "▁a ▁b", ["▁a", "▁b"]),
        ("a\u00a0b\u202f!", "▁a ▁b ▁ !", ["▁a", "▁b", "▁ !"]),  # words for an aligner written in Python
        ("a\u200bb c\u200e.", "▁a ▁b ▁c ▁.", ["▁a ▁b", "▁c ▁."]),
        ("\u200b a ▁ b ", "▁a ▁b", [None, "▁a", None, "▁b"]),
        ("x\u0085y z", "▁x <0xC2> <0x85> y ▁z", None),  # one word in pieces, two in the text
        ("Ａ ½", "▁A ▁1 ⁄ 2", ["▁A", "▁1 ⁄ 2"]),
        ("ΑΒ b", "▁αβ ▁b", ["▁αβ", "▁b"]),
        ("ÿ b", "▁ <unk> ▁b", ["▁ <unk>", "▁b"]),
        ("ÿ\u200bÿ b", "▁ <unk> ▁ <unk> ▁b", None),
        ("a", "▁a ▁b", None),
        ("a b", "▁a", None),
        ("", "", []),
    ],
)
def test_pieces_belong_to_the_words_that_white_space_separates(text: str, pieces: str, found: Any) -> None:
    words = words_of_text(text, pieces.split())
    assert (words and [word and " ".join(pieces.split()[word[1]]) for word in words]) == found


def test_a_word_without_pieces_gets_no_link_and_moves_no_other() -> None:
    maps = random_maps(("▁a", "▁b", "</s>"), ("▁x", "▁y", "</s>"))
    whole = word_maps(maps, "a b", "x y", [MapChoice()], False)
    apart = word_maps(maps, "\u200b a b", "x y ▁", [MapChoice()], False)
    assert whole is not None
    assert apart is not None
    assert (apart[:, :2, 1:] == whole).all()
    for method in METHODS:
        expected = align(whole, method, 0.1)
        found = align(apart, method, 0.1)
        assert (found[:, :2, 1:] == expected).all()
        assert found.sum() == expected.sum()


def grow_diag_as_published(e2f: Set, f2e: Set, num_e: int, num_f: int, final: str) -> Set:
    """The pseudo code of Koehn et al. 2005, word for word; points are (e, f)."""
    neighbouring = [(-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]
    alignment = e2f & f2e
    union = e2f | f2e

    def e_aligned(e: int) -> bool:
        return any(point[0] == e for point in alignment)

    def f_aligned(f: int) -> bool:
        return any(point[1] == f for point in alignment)

    while True:
        added = False
        for e in range(num_e):
            for f in range(num_f):
                if (e, f) in alignment:
                    for de, df in neighbouring:
                        new = e + de, f + df
                        if (not e_aligned(new[0]) or not f_aligned(new[1])) and new in union:
                            alignment.add(new)
                            added = True
        if not added:
            break
    for direction in (e2f, f2e) if final else ():
        for e in range(num_e):
            for f in range(num_f):
                e_free, f_free = not e_aligned(e), not f_aligned(f)
                is_free = e_free and f_free if final == "and" else e_free or f_free
                if is_free and (e, f) in direction:
                    alignment.add((e, f))
    return alignment


def largest(numbers: list[float]) -> int:
    return max(range(len(numbers)), key=lambda n: numbers[n])


def align_by_hand(weights: list[list[float]], method: str, threshold: float, backward: Set | None = None) -> Set:
    """Points are (target word, source word)."""
    num_rows, num_columns = len(weights), len(weights[0])
    every = {(t, s) for t in range(num_rows) for s in range(num_columns)}
    forward = {(t, largest(weights[t])) for t in range(num_rows)}
    if backward is None:
        backward = {(largest([row[s] for row in weights]), s) for s in range(num_columns)}
    if method == "threshold":
        return {(t, s) for t, s in every if weights[t][s] >= threshold}
    simple = {"argmax": forward, "intersection": forward & backward, "union": forward | backward}
    final = {"grow-diag": "", "grow-diag-final": "or", "grow-diag-final-and": "and"}
    if method in simple:
        return simple[method]
    return grow_diag_as_published(forward, backward, num_rows, num_columns, final[method])


def points(links: np.ndarray) -> Set:
    return {(int(t), int(s)) for t, s in np.argwhere(links)}


@pytest.mark.parametrize("method", METHODS)
def test_alignments_are_those_of_plain_loops(method: Any) -> None:
    random = np.random.default_rng(2)
    for num_target, num_source in [(1, 1), (1, 5), (4, 1), *[tuple(random.integers(2, 9, size=2)) for _ in range(30)]]:
        weights = random.dirichlet(np.full(num_source, 0.3), size=(2, num_target)).astype(np.float32)
        reverse = random.dirichlet(np.full(num_target, 0.3), size=(2, num_source)).astype(np.float32)
        alone, apart = align(weights, method, 0.2), align(weights, method, 0.2, reverse)
        for n in range(2):
            own = weights[n].tolist()
            assert points(alone[n]) == align_by_hand(own, method, 0.2)
            other = {(largest(reverse[n, s].tolist()), s) for s in range(num_source)}
            assert points(apart[n]) == align_by_hand(own, method, 0.2, other)


alignments = st.integers(1, 6).flatmap(
    lambda rows: st.integers(1, 6).flatmap(
        lambda columns: st.lists(
            st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns).map(
                lambda flat: np.array(flat).reshape(1, rows, columns)
            ),
            min_size=2,
            max_size=2,
        )
    )
)


@settings(deadline=None, max_examples=60)
@given(alignments)
def test_what_grows_lies_between_intersection_and_union(two: list[np.ndarray]) -> None:
    forward, backward = two
    least, most = forward & backward, forward | backward
    grown = combine(forward, backward, "grow-diag")
    final_and = combine(forward, backward, "grow-diag-final-and")
    final = combine(forward, backward, "grow-diag-final")
    for smaller, larger in (least, grown), (grown, final_and), (grown, final), (final, most), (final_and, most):
        assert not (smaller & ~larger).any()
    assert (final.any(axis=1) == most.any(axis=1)).all()  # no word stays alone that has a link in either direction
    assert (final.any(axis=2) == most.any(axis=2)).all()
    assert (combine(forward, forward, "grow-diag") == forward).all()


@settings(deadline=None, max_examples=60)
@given(alignments, st.integers(1, 4))
def test_error_rates_are_those_of_sets_and_within_bounds(two: list[np.ndarray], times: int) -> None:
    links, possible = two
    sure = possible & (np.arange(possible.size).reshape(possible.shape) % 2 == 0)
    errors = Errors(1)
    for _ in range(times):  # a corpus said several times has the same rates
        errors.add(links, Gold(sure[0], possible[0]))
    a, s, p = points(links[0]), points(sure[0]), points(possible[0])
    assert errors.has_gold == bool(s)
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


def test_links_are_written_sorted_by_source_word() -> None:
    links = np.zeros((3, 12), dtype=bool)
    links[2, 0] = links[0, 10] = links[1, 2] = links[0, 2] = True
    assert pharaoh(links) == "0-2 2-0 2-1 10-0"
    assert pharaoh(best_of_rows(np.zeros((1, 0, 0), dtype=np.float32))[0]) == ""


class Given:
    """Lines with maps, as a folder or a run gives them."""

    def __init__(self, maps: list[AttentionMaps | None]) -> None:
        self.path, self.layers, self.num_heads, self.weights, self.alignment = Path("given"), (0, 1), 3, "x", None
        self._maps = maps

    def lines(self, layer: int | None):
        for maps in self._maps:
            source, target = (maps.source, maps.target) if maps else (SOURCE, TARGET)
            yield Line(text_of(source), text_of(target), maps)


def test_every_setting_scores_what_plain_loops_and_sets_score(tmp_path: Path) -> None:
    maps = [random_maps(seed=seed) for seed in range(6)]
    backward = [random_maps(TARGET, SOURCE, seed=seed) for seed in range(10, 16)]
    gold = tmp_path / "gold"
    gold.write_text("0-0 1-1 2p2\n\n0-0 1?1 2-2\n2-0 2-0 2p0\n1-1\n0-2 1-1 2-0\n")
    pairing = Pairing(Given([*maps[:4], None, maps[5]]), Given(backward))
    trial = try_all(pairing, pairing.choices(), all_ways(has_reverse=True), GoldFile(gold))
    assert trial.num_lines == 6
    assert len(trial.results) == len(pairing.choices()) * len(set(all_ways(True))) == 9 * 2 * (2 * (6 + 8) + 5)
    sure = [{(0, 0), (1, 1)}, set(), {(0, 0), (2, 2)}, {(2, 0)}, {(1, 1)}, {(0, 2), (1, 1), (2, 0)}]
    possible = [sure[0] | {(2, 2)}, set(), sure[2] | {(1, 1)}, *sure[3:]]
    for choice, way, score in trial.results[::7]:
        num_links = num_sure = num_possible = 0
        for n in (0, 1, 2, 3, 5):
            own = maps_between(maps[n], [choice], way.is_shifted)[0]
            other = maps_between(backward[n], [choice], way.is_shifted)[0]
            if way.directions == "together":
                own = np.sqrt(own * other.T)
            apart = {(largest(row), s) for s, row in enumerate(other.tolist())} if way.directions == "apart" else None
            found = {(s, t) for t, s in align_by_hand(own.tolist(), way.method, way.threshold or 0, apart)}
            num_links += len(found)
            num_sure += len(found & sure[n])
            num_possible += len(found & possible[n])
        expected = 1 - (num_sure + num_possible) / (num_links + sum(map(len, sure)))
        assert score.error_rate == pytest.approx(expected), (choice, way)
    best = {
        choice: min(r.score.error_rate for r in trial.results if r.choice == choice) for choice in pairing.choices()
    }
    assert {result.choice: result.score.error_rate for result in trial.best_of_maps()} == best
    assert trial.best.score.error_rate == min(best.values())


def test_the_words_of_the_two_directions_have_to_be_the_same(tmp_path: Path) -> None:
    gold = tmp_path / "gold"
    gold.write_text("0-0\n")
    pairing = Pairing(Given([random_maps()]), Given([random_maps(("▁x", "</s>"), SOURCE)]))
    with pytest.raises(UserError, match="line 1: 3 source and 3 target words, but in the other direction 3 and 1"):
        try_all(pairing, [MapChoice()], all_ways(True), GoldFile(gold))
    with pytest.raises(UserError, match="given ends after 1 lines, but the other direction goes on"):
        list(Pairing(Given([random_maps()]), Given([None, None])).lines(None))


@pytest.mark.parametrize(
    ("text", "one_indexed", "message"),
    [
        ("0-0\n0-0 1_1\n", False, r"gold: line 2: '1_1' is no link; a link is i-j \(sure\)"),
        ("0-0\n-1-1\n", False, r"gold: line 2: '-1-1' is no link"),
        ("0-0\n٣-1\n", False, r"gold: line 2: '٣-1' is no link"),
        ("0-0\n3p1\n", False, r"gold: line 2: 3p1: the source has words 0 to 2; if the file counts from 1, add --one"),
        ("1-1\n1-4\n", True, r"gold: line 2: 1-4: the target has words 1 to 3$"),
        ("0-1\n1-1\n", True, r"gold: line 1: 0-1 has a word 0; leave out --one-indexed"),
        ("0-0\n", False, r"gold has fewer lines than given, whose number of lines is 2"),
        ("0-0\n0-0\n0-0\n", False, r"gold has more lines than given, whose number of lines is 2"),
        ("0p0\n0p0\n", False, r"gold: there is no sure link \(i-j\) in it"),
    ],
)
def test_what_is_wrong_with_a_gold_file_is_said(tmp_path: Path, text: str, one_indexed: bool, message: str) -> None:
    gold = tmp_path / "gold"
    gold.write_text(text)
    pairing = Pairing(Given([random_maps(), random_maps(seed=2)]))
    with pytest.raises(UserError, match=message):
        try_all(pairing, [MapChoice()], Asked().ways(False), GoldFile(gold, one_indexed))


def test_gold_counted_from_one_scores_the_same(tmp_path: Path) -> None:
    gold = tmp_path / "gold"
    scores = []
    for text, one_indexed in ("0-0 1p2\n", False), ("1-1 2?3\n", True):
        gold.write_text(text)
        pairing = Pairing(Given([random_maps()]))
        scores.append(try_all(pairing, pairing.choices(), all_ways(False), GoldFile(gold, one_indexed)))
    assert scores[0] == scores[1]


LINES = [
    ("The cat sat.", "Le chat s'assit."),
    ("", ""),
    ('<b>"x" 0-0 ▁ 😀', "a\u2028b </s>"),
    ("Birds.", "Les oiseaux."),
]


@pytest.fixture
def texts(tmp_path: Path) -> list[str]:
    for number, name in enumerate(["src", "tgt"]):
        (tmp_path / name).write_text("".join(pair[number] + "\n" for pair in LINES), encoding="utf-8")
    return ["--src", str(tmp_path / "src"), "--tgt", str(tmp_path / "tgt")]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = cli._run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_folder_and_a_run_give_the_same_lines_in_order(capsys, tiny_run: Path, tmp_path: Path, texts) -> None:
    maps = tmp_path / "maps"
    assert run(capsys, "score", tiny_run, *texts, "--attention", maps, "--device", "cpu")[0] == 0
    for options in [], ["--layer", 1, "--head", 0, "--shift", "--method", "argmax"], ["--threshold", 0.3]:
        status, out, err = run(capsys, "align", maps, *options)
        assert status == 0
        assert "aligned by: " in err
        assert run(capsys, "align", tiny_run, *texts, "--device", "cpu", *options)[1] == out
        lines = out.split("\n")
        assert len(lines) == 5
        assert lines[1] == lines[4] == ""
    for n in 1, 3, 4:  # the last options: a threshold of the mean map
        (each,) = word_maps(AttentionFolder.open(maps).maps_of_line(n), *LINES[n - 1], [MapChoice()], False)
        found = sorted((s, t) for t, s in align_by_hand(each.tolist(), "threshold", 0.3))
        assert lines[n - 1] == " ".join(f"{s}-{t}" for s, t in found)


def test_the_best_setting_is_stored_and_then_used(
    capsys, tiny_run: Path, other_run: Path, tmp_path: Path, texts
) -> None:
    own, gold, maps = tmp_path / "own", tmp_path / "gold", tmp_path / "maps"
    shutil.copytree(tiny_run, own)
    gold.write_text("0-0 1-1 2-2\n\n0-0\n0-1\n")
    cpu = ["--device", "cpu"]
    status, out, err = run(capsys, "align", own, *texts, *cpu, "--gold", gold, "--store", own, "--json")
    assert status == 0, err
    rows = [json.loads(line) for line in out.splitlines()]
    (best,) = (row for row in rows if row["best"])
    assert len(rows) == 2 * 3 + 1
    stored = StoredAlignment.read(json.loads((own / "alignment.json").read_text()), own)
    assert stored.choice == (best["layer"], best["head"])
    assert (stored.method, stored.shift, stored.threshold) == (best["method"], best["is_shifted"], best["threshold"])
    assert (stored.aer, stored.num_lines, stored.gold) == (best["error_rate"], 4, "gold")
    options = ["--method", stored.method, "--shift" if stored.shift else "--no-shift"]
    options += ["--threshold", stored.threshold] if stored.threshold else []
    options += ["--layer", stored.layer] if stored.layer is not None else []
    options += ["--head", stored.head] if stored.head is not None else []
    by_hand = run(capsys, "align", own, *texts, *cpu, *options)[1]
    assert run(capsys, "score", own, *texts, *cpu, "--attention", maps)[0] == 0
    for place in [maps], [own, *texts, *cpu]:
        status, out, err = run(capsys, "align", *place)
        assert (status, out) == (0, by_hand)
        assert "the run's best on gold" in err
    table = run(capsys, "align", maps, "--gold", gold)[1]
    assert table.splitlines()[-1].endswith(f": {stored.aer:.4f}")
    status, _, err = run(capsys, "align", maps, "--gold", gold, "--store", other_run)
    assert status == 2
    assert "are of other weights" in err
    (own / "alignment.json").write_text('{"format": 1, "layer": "x"}')
    status, _, err = run(capsys, "align", own, *texts, *cpu)
    assert (status, err.count("\n")) == (2, 1)
    assert "damaged" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layer", 7], "--layer 7: the layers of .* are 0, 1"),
        (["--head", -1], "--head -1: the heads of .* are 0 to 1"),
        (["--method", "threshold"], "--method threshold: say from which weight on by --threshold"),
        (["--threshold", 0], "--threshold 0: give a weight above 0"),
        (["--threshold", 0.2, "--method", "union"], "--threshold is for --method threshold, not for union"),
        (["--directions", "apart"], "--directions is for two models"),
        (["--store", "x"], "--store keeps the setting that scores best; add --gold"),
        (["--gold", "nowhere"], "nowhere: no such file"),
        (["--reverse", "nowhere"], "nowhere: --src and --tgt are for a run folder"),
    ],
)
def test_a_command_that_cannot_be_is_answered_in_a_line(capsys, tiny_run, texts, options, message) -> None:
    status, out, err = run(capsys, "align", tiny_run, *texts, "--device", "cpu", *options)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert re.search(message, err)
