"""`translate align`: attention folders, runs, stored settings and conflicting options."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.helpers.alignments import align_by_hand
from tests.helpers.commands import run
from tests.helpers.corpora import TOY, head
from translate.alignment.methods import MapChoice, word_maps
from translate.alignment.stored import StoredAlignment
from translate.attention.folder import AttentionFolder
from translate.errors import UserError
from translate.report.alignment_picture import LinkedPair
from translate.run.folder import Run

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


def test_folder_and_run_produce_the_same_lines_in_order(capsys, any_run: Path, tmp_path: Path, texts) -> None:
    maps = tmp_path / "maps"
    assert run(capsys, "score", any_run, *texts, "--attention", maps, "--device", "cpu")[0] == 0
    for options in [], ["--layer", 0, "--head", 0, "--shift", "--method", "argmax"], ["--threshold", 0.3]:
        status, out, err = run(capsys, "align", maps, *options)
        assert status == 0
        assert "aligned by: " in err
        assert run(capsys, "align", any_run, *texts, "--device", "cpu", *options)[1] == out
        lines = out.split("\n")
        assert len(lines) == 5
        assert lines[1] == lines[4] == ""
    for n in 1, 3, 4:  # the last options: a threshold of the mean map
        (each,) = word_maps(AttentionFolder.open(maps).maps_of_line(n), *LINES[n - 1], [MapChoice()], False)
        found = sorted((s, t) for t, s in align_by_hand(each.tolist(), "threshold", 0.3))
        assert lines[n - 1] == " ".join(f"{s}-{t}" for s, t in found)


def test_pictures_show_printed_links_and_gold_links(
    capsys, tiny_run: Path, tmp_path: Path, texts, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps, gold, drawn = tmp_path / "maps", tmp_path / "gold", []
    gold.write_text("0-0 1p1\n\n\n0p1\n")
    assert run(capsys, "score", tiny_run, *texts, "--attention", maps, "--device", "cpu")[0] == 0

    def keep(pairs: list[LinkedPair], path: Path) -> list[str]:
        drawn.append((path.name, pairs))
        return []

    monkeypatch.setattr("translate.report.alignment_picture.save_links", keep)
    places = ["--svg", tmp_path / "a.svg", "--png", tmp_path / "a.png"]
    status, out, err = run(capsys, "align", maps, *places)
    assert status == 0, err
    assert sorted(name for name, _ in drawn) == ["a.png", "a.svg"]
    printed = [{tuple(map(int, link.split("-"))) for link in line.split()} for line in out.splitlines() if line]
    for _, pairs in drawn:
        assert [(each.source, each.target) for each in pairs] == [
            (source.split(), target.split()) for source, target in LINES if source
        ]
        assert [each.links for each in pairs] == printed
        assert all(each.sure is None for each in pairs)
    drawn.clear()
    assert run(capsys, "align", maps, "--gold", gold, "--svg", tmp_path / "b.svg")[0] == 0
    [(_, pairs)] = drawn
    assert [(set(each.sure), set(each.possible)) for each in pairs] == [
        ({(0, 0)}, {(1, 1)}),
        (set(), set()),
        (set(), {(0, 1)}),
    ]


def test_empty_lines_cannot_be_drawn(capsys, tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n\n")
    both = ["--src", tmp_path / "empty", "--tgt", tmp_path / "empty", "--device", "cpu"]
    status, _, err = run(capsys, "align", tiny_run, *both, "--svg", tmp_path / "a.svg")
    assert status == 2
    assert "there is nothing to draw" in err


def test_best_setting_is_stored_and_reused(capsys, tiny_run: Path, other_run: Path, tmp_path: Path, texts) -> None:
    own, gold, maps = tmp_path / "own", tmp_path / "gold", tmp_path / "maps"
    shutil.copytree(tiny_run, own)
    gold.write_text("0-0 1-1 2-2\n\n0-0\n0-1\n")
    cpu = ["--device", "cpu"]
    status, out, err = run(capsys, "align", own, *texts, *cpu, "--gold", gold, "--store", own, "--json")
    assert status == 0, err
    rows = [json.loads(line) for line in out.splitlines()]
    (best,) = (row for row in rows if row["best"])
    assert len(rows) == 2 * 3 + 1
    stored = StoredAlignment.read(Run(own).load_alignment(), own)
    assert (stored.layer, stored.head) == (best["layer"], best["head"])
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
        assert "the run's best settings on gold" in err
    table = run(capsys, "align", maps, "--gold", gold)[1]
    assert table.splitlines()[-1].endswith(f": {stored.aer:.4f}")
    status, _, err = run(capsys, "align", maps, "--gold", gold, "--store", other_run)
    assert status == 2
    assert "was created with different weights" in err
    (own / "alignment.json").write_text('{"format": 2, "layer": "x"}')
    status, _, err = run(capsys, "align", own, *texts, *cpu)
    assert (status, err.count("\n")) == (2, 1)
    assert "damaged" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layer", 7], "--layer 7: no such layer in .*; available: 0, 1"),
        (["--head", -1], "--head -1: no such head in .*; available: 0, 1"),
        (["--method", "threshold"], "--method threshold: set the minimum weight with --threshold"),
        (["--threshold", 0], "--threshold 0: must be greater than 0"),
        (["--threshold", 0.2, "--method", "union"], "--threshold works only with --method threshold, not with union"),
        (["--directions", "apart"], "--directions needs two models or a lexicon; add --reverse DIR.RUN or --lexicon"),
        (["--lexicon", "--gold", "nowhere", "--store", "RUN"], "--store saves settings for attention alone; omit"),
        (["--store", "RUN"], "--store: requires gold links; add --gold FILE"),
        (["--gold", "nowhere"], "nowhere: no such file"),
        (["--reverse", "nowhere"], "nowhere: no such file or folder; pass a folder written by"),
    ],
)
def test_conflicting_options_are_rejected_in_one_line(capsys, tiny_run, texts, options, message) -> None:
    options = [tiny_run if option == "RUN" else option for option in options]
    status, out, err = run(capsys, "align", tiny_run, *texts, "--device", "cpu", *options)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert re.search(message, err)


def test_a_lexicon_of_the_training_text_corrects_the_maps(capsys, tiny_run: Path, tmp_path: Path) -> None:
    for end in "en", "fr", "align":
        (tmp_path / f"text.{end}").write_text(head(TOY / f"train.{end}", 60), encoding="utf-8")
    text = [tiny_run, "--src", tmp_path / "text.en", "--tgt", tmp_path / "text.fr", "--device", "cpu"]
    status, out, err = run(capsys, "align", *text, "--lexicon")
    assert (status, out.count("\n")) == (0, 60)
    assert re.search(r"lexicon: [\d,]+ pairs in [\d.]+ s\n", err)
    assert "aligned by: mean of layers, mean of heads, grow-diag, directions apart" in err
    rates = []
    for options in [], ["--lexicon"]:
        out = run(capsys, "align", *text, "--gold", tmp_path / "text.align", "--json", *options)[1]
        rates.append(min(json.loads(line)["error_rate"] for line in out.splitlines()))
    assert rates[1] < rates[0] / 2


def test_a_lexicon_needs_a_run_and_its_training_text(capsys, tiny_run: Path, tmp_path: Path, texts) -> None:
    maps, moved = tmp_path / "maps", tmp_path / "moved"
    assert run(capsys, "score", tiny_run, *texts, "--attention", maps, "--device", "cpu")[0] == 0
    status, _, err = run(capsys, "align", maps, "--lexicon")
    assert (status, err) == (2, f"error: --lexicon: {maps} is not a run; pass a run with --src and --tgt\n")
    shutil.copytree(tiny_run, moved)
    config = (moved / "config.toml").read_text()
    (moved / "config.toml").write_text(re.sub(r"(train_src = ).*", r'\1"gone.en"', config))
    status, _, err = run(capsys, "align", moved, *texts, "--device", "cpu", "--lexicon")
    assert (status, err.count("\n")) == (2, 1)
    assert "gone.en, of the run's training text, is missing; restore it, or omit --lexicon" in err


STORED = {
    "layer": 0,
    "head": None,
    "method": "threshold",
    "shift": False,
    "threshold": 0.2,
    "aer": 0.1,
    "num_lines": 1,
    "gold": "gold",
    "weights": "",
}


@pytest.mark.parametrize(
    "change",
    [
        {"aer": "x"},
        {"aer": None},
        {"threshold": 2.0},
        {"threshold": float("nan")},
        {"threshold": None},
        {"method": ["argmax"]},
        {"method": "argmax"},
        {"shift": 1},
        {"layer": True},
        {"more": 1},
    ],
)
def test_damaged_stored_setting_is_reported(change: dict[str, object]) -> None:
    assert StoredAlignment.read(STORED, Path("runs/toy")).threshold == 0.2
    with pytest.raises(UserError, match="runs/toy: the stored alignment is damaged; store it again with"):
        StoredAlignment.read({**STORED, **change}, Path("runs/toy"))
