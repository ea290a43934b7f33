"""Check docs/attention.md and docs/attention.zh.md: every number is computed again with the run in docs/toy-run.

The masked language model is the exception: it trains for a minute, so a short training stands for it, and its numbers
are compared with docs/masked-lm.npz.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import runpy
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent

import numpy as np
import pytest
import torch

from translate import cli
from translate.api import load_translator
from translate.attention.extract import attention_maps
from translate.attention.head_ablation import loss_of
from translate.attention.maps import AttentionMaps
from translate.attention.selection import AttentionSelection
from translate.data.parallel_text import Pair
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest
from translate.model.attention_kinds import Head

ROOT = Path(__file__).parents[2]
RUN = ROOT / "docs/toy-run"
ENGLISH, CHINESE = ROOT / "docs/attention.md", ROOT / "docs/attention.zh.md"
TEXT = ENGLISH.read_text(encoding="utf-8")
PROSE = " ".join(TEXT.split())  # however its lines are broken
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = [(match[1], match[2]) for match in BLOCK.finditer(TEXT)]
PROGRAMS = [code for language, code in BLOCKS if language == "python" and "print(" in code]
COMMANDS = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]
FIGURE = re.compile(r"!\[[^]]*\]\((figures/[^)]+)\)")
DRAWINGS = {"figures/architecture.svg", "figures/four-models.svg"}  # written by hand
ELSEWHERE = "docs/figures/translator.png"  # in README; see test_toy_translator.py
MEASURED = "figures/why-"  # drawn by scripts/why_attention
MASKED_LM = ROOT / "scripts/masked_lm"
MAPS = AttentionMaps.load(ROOT / "docs/maps/000001.npz")


@pytest.fixture(scope="module")
def lesson_translator() -> LineTranslator:
    return load_translator(RUN, "cpu")


def output_after(block: str) -> str:
    """Return the output that the document shows for a block, or "" if the next block is not output."""
    place = next(place for place, (_, code) in enumerate(BLOCKS) if block in code) + 1
    return BLOCKS[place][1] if place < len(BLOCKS) and BLOCKS[place][0] == "text" else ""


def worked_row() -> np.ndarray:
    """Return the columns of section 4: q · k, score, exponential, weight, value; one row per source piece."""
    table = [line.split() for line in output_after("query = seen").splitlines()]
    assert tuple(row[0] for row in table) == MAPS.source
    return np.array([row[1:] for row in table], dtype=float).T


def test_worked_example_is_consistent_and_matches_the_file() -> None:
    product, score, exponential, weight, value = worked_row()
    row = MAPS.target.index("▁les")
    assert np.allclose(score, product / np.sqrt(32), atol=1e-3)
    assert np.allclose(exponential, np.exp(score), rtol=1e-3, atol=1e-3)
    assert np.allclose(weight, exponential / exponential.sum(), atol=1e-3)
    assert np.allclose(weight, MAPS.cross[0, 0, row], atol=6e-4)
    undivided = np.exp(product - product.max())
    assert np.round(undivided / undivided.sum(), 3).tolist() == [0, 1, 0, 0, 0]
    shown = {
        "≈ 2.254": f"{weight @ value:.3f}",
        "sum to 46.50": f"{exponential.sum():.2f}",
        "`▁love` is 1.961 above": f"{score[1] - score[0]:.3f}",
        "= 7.1 times": f"{exponential[1] / exponential[0]:.1f}",
        "20.521 / 5.657 = 3.628": f"{product[1] / np.sqrt(32):.3f}",
        "11 % of the value of `▁I`": f"{100 * weight[0]:.0f} %",
        "81 % of the value of `▁love`": f"{100 * weight[1]:.0f} %",
        "[0, 0, 3]": f"{row}",
    }
    for sentence, number in shown.items():
        assert sentence in PROSE
        assert number in sentence


def test_quoted_code_is_in_the_model() -> None:
    files = ROOT / "translate/model/transformer.py", MASKED_LM
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    quotes = [code for language, code in BLOCKS if language == "python" and "print(" not in code]
    assert len(quotes) >= 5
    for quote in quotes:
        parts = quote.split("\n\n")  # what stands between two functions need not be quoted
        assert all(any(indent(part, " " * depth) in source for depth in (0, 4, 8)) for part in parts), quote


@pytest.mark.parametrize(
    "command", [command for command in COMMANDS if command.startswith("translate attention docs/ma")]
)
def test_attention_commands_print_the_output_shown(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    arguments = shlex.split(command.replace("maps.html", str(tmp_path / "maps.html")))[1:]
    if "--svg" in arguments:  # drawing has its own tests and takes its time
        picture = Path(arguments.pop(arguments.index("--svg") + 1))
        arguments.remove("--svg")
        assert b"<svg" in picture.read_bytes()
        assert picture.stat().st_size < 60_000
    assert cli._run(arguments) == 0
    shown = output_after(command)
    assert not shown or capsys.readouterr().out.rstrip() == shown.rstrip()


def test_page_screenshot_is_small() -> None:
    page = ROOT / "docs/figures/page.png"
    assert page.read_bytes().startswith(b"\x89PNG")
    assert page.stat().st_size < 200_000


def test_maps_are_those_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    [command] = [command for command in COMMANDS if command.endswith("--attention docs/maps")]
    assert cli._run([*shlex.split(command)[1:-1], str(tmp_path)]) == 0
    for name in "000001.npz", "000002.npz":
        ours, theirs = (AttentionMaps.load(folder / name) for folder in (ROOT / "docs/maps", tmp_path))
        assert (ours.source, ours.target) == (theirs.source, theirs.target)
        for kind, stack in ours.stacks.items():
            assert np.allclose(stack.weights, theirs.stacks[kind].weights, atol=1e-5)
    about = json.loads((ROOT / "docs/maps/about.json").read_text(encoding="utf-8"))
    assert about["weights"] == json.loads((tmp_path / "about.json").read_text(encoding="utf-8"))["weights"]
    for line in (tmp_path / "index.jsonl").read_text(encoding="utf-8").splitlines():
        assert json.loads(line)["translation"] in PROSE


def test_programs_print_what_is_shown(
    lesson_translator: LineTranslator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    vocab = lesson_translator.vocabs.src
    encoded = vocab.encode((ROOT / "data/toy/test.en").read_text(encoding="utf-8").splitlines())
    pairs = [([*ids, vocab.eos_id], [vocab.eos_id]) for ids in encoded]  # the encoder's maps depend on no translation
    for number, maps in enumerate(attention_maps(lesson_translator, pairs, AttentionSelection(("encoder",)))):
        np.savez(tmp_path / f"{number:06}.npz", source=np.array(maps.source), encoder=maps.stack("encoder").weights)
    for program in PROGRAMS:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(program.replace("test-maps", str(tmp_path)), {})
        assert output.getvalue() == output_after(program)


def test_number_of_articles_is_the_sum_of_the_table() -> None:
    distances = dict(re.findall(r"\((-?\d+), (\d+)\)", output_after("distances[")))
    near, every = (sum(int(distances[each]) for each in keys) for keys in (("1", "2", "3"), distances))
    assert f"For {near} of {every} it is" in PROSE


def row(maps: AttentionMaps, kind: str, layer: int | None, head: int | None, piece: str) -> dict[str, float]:
    """Return the weights of a row in percent, by column; layer and head None: the mean."""
    weights = maps.stacks[kind].weights
    weights = weights.mean(axis=(0, 1)) if layer is None else weights[layer, head]
    rows, columns = (maps.source, maps.source) if kind == "encoder" else (maps.target, maps.source)
    return dict(zip(columns, 100 * weights[rows.index(piece)], strict=True))


def test_rows_named_in_the_text_attend_to_what_it_says() -> None:
    cat = AttentionMaps.load(ROOT / "docs/maps/000002.npz")
    for head in range(4):
        assert row(MAPS, "cross", 0, head, "aime")["▁love"] > 90 < row(MAPS, "cross", 0, head, "▁pommes")["▁apples"]
    for head, piece in enumerate(("▁love", "▁love", ".", "</s>")):
        assert row(MAPS, "cross", 0, head, "▁les")[piece] > 80
    for article, noun in ("▁The", "▁cat"), ("▁the", "▁mat"):
        assert round(row(cat, "encoder", 1, 0, article)[noun]) == 94
    assert round(row(MAPS, "cross", None, None, "▁J")["▁love"]) == 1
    assert round(row(MAPS, "encoder", None, None, "▁I")["▁love"]) == 38
    for produced, source in ("'", "</s>"), ("est", "</s>"), ("▁chat", "▁cat"), ("▁tapis", "▁mat"):
        assert round(row(cat, "cross", 1, 0, produced)[source]) == 100
    assert round(row(MAPS, "cross", 1, 1, "▁les")["▁apples"]) == 100
    assert [round(row(MAPS, "cross", *head, "▁les")["▁love"]) for head in ((0, 1), (1, 3))] == [99, 98]
    for claim in (
        "`▁mat`, both with 94 %",
        "`▁love` only 1 %",
        "`▁love` 38 %",
        "with 100 % on",
        "100 % to `▁apples`",
        "too, with 99 % and 98 %",
    ):
        assert claim in PROSE


def test_probabilities_without_heads_are_those_shown(lesson_translator: LineTranslator) -> None:
    def probability(article: str, heads: Sequence[Head] = (), source: str = "I love apples.") -> float:
        pair = source, f"J'aime {article} pommes."
        [scored] = lesson_translator.without(heads).score([pair])
        return math.exp(scored.log_probs[scored.pieces.index(f"▁{article}")])

    plural = [Head("cross", 1, 1)]
    verb = [Head("cross", 0, 0), Head("cross", 0, 1), Head("cross", 1, 3)]
    for value, claim in (
        (probability("les"), "with all heads it is {}."),
        (probability("les", verb[:1]), "the probability of `▁les` is {};"),
        (probability("des", source="I eat apples."), "`▁des` has {},"),
        (probability("les", source="I eat apples."), "`▁les` only {}."),
        (probability("les", verb), "Without all three, `▁les` falls to {},"),
        (probability("des", verb), "`▁des` rises to {}."),
        (probability("les", plural), "without it, `▁les` falls to {}."),
    ):
        assert claim.format(f"{value:.3f}") in PROSE
    for article in "le", "la":
        assert probability(article, plural) > 10 * probability(article)
    request = DecodeRequest(prefix="J'aime")
    [translation] = lesson_translator.translations(["I eat apples."], request=request)
    assert f'becomes "{translation.text}"' in PROSE


def test_scores_of_the_test_set_are_those_shown(
    lesson_translator: LineTranslator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    [command] = [command for command in COMMANDS if "--mask" in command and "--ref" in command]
    assert cli._run(shlex.split(command)[1:]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(output_after(command))
    sides = (ROOT / f"data/toy/test.{side}" for side in ("en", "fr"))
    pairs = [
        Pair(*pair) for pair in zip(*(side.read_text(encoding="utf-8").splitlines() for side in sides), strict=True)
    ]
    whole = float(re.search(r"loss.*?(\d\.\d+)", printed)[1])
    increase = loss_of(lesson_translator.without([Head("cross", 1, 1)]), pairs) - whole
    shown = float(re.search(r"most without `cross\.1\.1` \(\+(.*?)\)", PROSE)[1])
    assert increase == pytest.approx(shown, abs=1.01e-4)  # twice rounded


def test_alignment_error_rates_are_those_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    rates = []
    for command in [command for command in COMMANDS if "translate align docs/toy-run" in command]:
        assert cli._run(shlex.split(command)[1:]) == 0
        rates.append(float(capsys.readouterr().out.split()[-1]))
    own, next_row = rates
    assert f"is {own:.3f} in the piece's own row and {next_row:.3f} one row lower" in PROSE


def test_verification_finds_only_rounding_errors(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    [command] = re.findall("`translate (attention verify .*?)`", TEXT)
    assert cli._run(command.split()) == 0
    assert max(map(float, re.findall(r"difference (\S+)", capsys.readouterr().out))) < 1e-6
    assert "below 0.000001" in PROSE


def test_masked_language_model_takes_forty_lines() -> None:
    [quote] = [code for language, code in BLOCKS if language == "python" and "class MaskedLanguageModel" in code]
    lines = sum(bool(line.strip()) for line in quote.splitlines())
    assert f"Model and training take {lines} lines" in PROSE
    assert lines <= 40


def test_masked_language_model_learns_and_writes_its_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    for name in "data", "docs/toy-run":
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["masked_lm", "40"])
    num_threads = torch.get_num_threads()
    try:
        names = runpy.run_path(str(MASKED_LM))
    finally:
        torch.set_num_threads(num_threads)
    assert names["loss"] < math.log(names["vocab"].size) - 1
    assert not any(names["MASK"] in ids for ids in names["text"])
    shown, printed = (text.splitlines() for text in (output_after("scripts/masked_lm"), capsys.readouterr().out))
    assert [line.partition("]")[0] for line in printed] == [line.partition("]")[0] for line in shown]
    ours, theirs = (AttentionMaps.load(folder / "docs/masked-lm.npz") for folder in (tmp_path, ROOT))
    assert ours.source == theirs.source == AttentionMaps.load(ROOT / "docs/maps/000002.npz").source
    assert ours.stacks["encoder"].weights.shape == theirs.stacks["encoder"].weights.shape == (2, 4, 8, 8)
    assert np.allclose(ours.stacks["encoder"].weights.sum(axis=3), 1, atol=1e-5)


def test_claims_about_the_masked_language_model_are_in_its_output_and_maps() -> None:
    lines = output_after("scripts/masked_lm").splitlines()
    seat, cat, cats = (dict(re.findall(r"(▁\w+) (\d\.\d+)", line)) for line in lines)
    assert set(seat) == {"▁mat", "▁armchair", "▁bed", "▁bench", "▁mats"}
    assert next(iter(seat)) == "▁mat"
    singular, plural = (
        [sum(float(guesses[verb]) for verb in verbs) for guesses in (cat, cats)]
        for verbs in (("▁is", "▁was"), ("▁are", "▁were"))
    )
    assert f"the two singular forms have {singular[0]:.3f} together" in PROSE
    assert f"rise from {plural[0]:.3f} to {plural[1]:.3f}, but the singular still has {singular[1]:.3f}" in PROSE
    masked, translator = (AttentionMaps.load(ROOT / f"docs/{name}.npz") for name in ("masked-lm", "maps/000002"))
    claims = []
    for maps, head in (masked, (0, 1)), (translator, (1, 0)):
        to_nouns = maps.stacks["encoder"].weights[:, :, [0, 4], [1, 5]]  # from ▁The to ▁cat, from ▁the to ▁mat
        sums = to_nouns.sum(axis=2)
        assert np.unravel_index(sums.argmax(), sums.shape) == head
        claims.append([f"{100 * weight:.0f} %" for weight in to_nouns[head]])
    assert f"In the masked language model it is {' and '.join(claims[0])}" in PROSE
    assert claims[1] == ["94 %"] * 2
    on, mat = row(masked, "encoder", 1, 2, "▁on")["▁mat"], row(masked, "encoder", 1, 0, "▁mat")["▁on"]
    assert f"`▁on` gives `▁mat` {on:.0f} % (head 2), and `▁mat` gives `▁on` {mat:.0f} % (head 0)" in PROSE


def test_steps_are_those_of_the_map() -> None:
    section = TEXT[TEXT.index("## 6.") : TEXT.index("## 7.")]
    steps = [re.findall("`(.*?)`", line) for line in section.splitlines() if re.match(r"\| \d", line)]
    read = ["<s>", *MAPS.target[:-1]]
    for step, (asks, seen, *_, produced) in enumerate(steps):
        assert [asks, seen.split(), produced] == [read[step], read[: step + 1], MAPS.target[step]]
    assert len(steps) == len(MAPS.target)
    assert steps[0][2].split() == list(MAPS.source)


def test_every_figure_is_above_its_command() -> None:
    shown = dict.fromkeys(FIGURE.findall(TEXT))  # in the order in which they first appear
    figures = [each for each in shown if each not in DRAWINGS and not each.startswith(MEASURED)]
    drawn = [shlex.split(command)[-1] for command in COMMANDS if "docs/figures" in command]
    assert [f"docs/{figure}" for figure in figures] == drawn
    paths = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs/figures").iterdir())
    assert sorted([*drawn, ELSEWHERE, *(f"docs/{each}" for each in DRAWINGS)]) == [
        path for path in paths if not path.startswith(f"docs/{MEASURED}")
    ]


def test_both_languages_have_the_same_blocks_figures_and_numbers() -> None:
    chinese = CHINESE.read_text(encoding="utf-8")
    assert [match.groups() for match in BLOCK.finditer(chinese)] == BLOCKS
    assert FIGURE.findall(chinese) == FIGURE.findall(TEXT)
    number = re.compile(r"\d+\.\d+|\d+ %|\d+ × \d+|\b(?:19|20)\d\d\b|\d+,\d+")
    plain = (BLOCK.sub("", text) for text in (TEXT, chinese.replace("（", "(").replace("）", ")")))
    ours, theirs = (sorted(number.findall(text)) for text in plain)
    assert ours == theirs


@pytest.mark.parametrize("path", [ENGLISH, CHINESE], ids=lambda path: path.name)
def test_every_cited_work_is_in_the_references(path: Path) -> None:
    references = (ROOT / "docs/references.md").read_text(encoding="utf-8")
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    named = set(re.findall(r"([A-Z][a-z]+) (?:et al\.|and [A-Z][a-z]+)\s*[(（]?(\d{4})", text))
    listed = set(re.findall(r"^- ([A-Z][a-z]+).*?\((\d{4})\)", references, re.MULTILINE))
    assert named == listed


@pytest.mark.parametrize("path", [ENGLISH, CHINESE], ids=lambda path: path.name)
def test_explanation_stays_short(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= 600
