"""`translate evaluate`: manual buckets, sacreBLEU as the oracle, and the output and errors of the command."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
import sacrebleu

from translate import cli
from translate.api import load_translator
from translate.evaluation.evaluate import (
    ReferencedText,
    compare,
    evaluate,
    text_warnings,
    translation_warnings,
    unit_of,
)
from translate.evaluation.metrics import METRICS, MetricConfig
from translate.system.terminal_text import columns_of

WAY = MetricConfig(METRICS)
HOSTILE = [
    "\x00\x1b[31m red",
    "a\u2028b\x85c\tend",
    "مرحبا بالعالم",
    "👩‍👩‍👧 " * 40,
    "{json: \"'\\",
    "\ufeffmark",
    "&amp; ½",
]


def words(count: int) -> str:
    return " ".join(f"w{number}" for number in range(count))


def test_each_line_is_in_the_bucket_for_its_length() -> None:
    counts = [0, 1, 5, 6, 10, 11, 15, 16, 20, 21, 30, 31, 400]
    sources = [words(count) for count in counts]
    reference = [f"{source} fin" for source in sources]
    wrong = [*sources[:-1], "autre chose"]
    evaluation = evaluate(wrong, ReferencedText(sources, [reference]), WAY)
    ranges = [(bucket.first, bucket.last, bucket.num_lines) for bucket in evaluation.buckets]
    assert ranges == [(0, 0, 1), (1, 5, 2), (6, 10, 2), (11, 15, 2), (16, 20, 2), (21, 30, 2), (31, None, 2)]
    for bucket, places in zip(
        evaluation.buckets, ([0], [1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 12]), strict=True
    ):
        some, right = [wrong[place] for place in places], [reference[place] for place in places]
        assert bucket.bleu == sacrebleu.corpus_bleu(some, [right]).score
        assert bucket.chrf == sacrebleu.corpus_chrf(some, [right]).score


def test_empty_buckets_are_omitted_and_scores_ignore_line_order() -> None:
    sources = [words(count) for count in (3, 12, 3, 40)]
    reference = ["un deux trois quatre", "cinq six sept huit neuf", "dix onze", "douze treize quatorze"]
    translations = ["un deux trois", "cinq six sept huit dix", "dix onze", "treize douze quatorze"]
    one = evaluate(translations, ReferencedText(sources, [reference]), WAY)
    assert [(bucket.first, bucket.num_lines) for bucket in one.buckets] == [(1, 2), (11, 1), (31, 1)]
    order = random.Random(1).sample(range(4), 4)
    shuffled = ([each[place] for place in order] for each in (translations, sources, reference))
    texts, sources, reference = shuffled
    assert evaluate(texts, ReferencedText(sources, [reference]), WAY) == one


def test_language_without_spaces_is_measured_in_characters() -> None:
    assert unit_of(["我爱苹果。", "", "猫坐在垫子上 。", "你好"]) == "characters"
    assert unit_of(["Yes.", "I do.", "He sings well."]) == "words"
    sources = ["猫" * 10, "猫" * 11, "猫" * 61]
    buckets = evaluate(["a"] * 3, ReferencedText(sources, [["a"] * 3]), WAY).buckets
    assert [(bucket.first, bucket.last, bucket.num_lines) for bucket in buckets] == [
        (1, 10, 1),
        (11, 20, 1),
        (61, None, 1),
    ]


def test_length_ratio_uses_characters_of_the_mean_reference() -> None:
    text = ReferencedText(["x", "y"], [["abcd", "ab"], ["abcdefgh", ""]])
    assert evaluate(["abc", "a"], text, WAY).length_ratio == 4 / (6 + 2)
    assert evaluate(["abc"], ReferencedText(["x"], [[""]]), WAY).length_ratio is None


def test_line_empty_in_one_reference_is_scored_against_the_others() -> None:
    text = ReferencedText(["a", "b", ""], [["", "deux mots", ""], ["un chat noir", "deux", ""]])
    translations = ["un chat", "deux mots", ""]
    scores = evaluate(translations, text, WAY).scores
    references = [["un chat noir", "deux mots", ""], [None, "deux", None]]
    assert scores["ter"].value == sacrebleu.corpus_ter(translations, references).score
    assert scores["bleu"].value == sacrebleu.corpus_bleu(translations, references).score
    assert scores["bleu"].signature.startswith("nrefs:var|")


def test_changes_in_chrf_are_sorted_largest_first() -> None:
    sources = ["one", "two", "three", "four", "five", "six"]
    reference = ["un chat noir", "deux", "trois chats", "quatre", "cinq chiens", "six"]
    ours = ["un chat noir", "deux", "trois", "quatre", "cinq chien", "sept?"]
    theirs = ["un", "deux", "trois chats", "quatres", "cinq", "huit!"]
    comparison = compare(ours, theirs, ReferencedText(sources, [reference]), WAY)
    assert [change.line for change in comparison.changes] == [1, 3, 4, 5, 6]
    for change in comparison.changes:
        place = change.line - 1
        assert change.chrf == sacrebleu.sentence_chrf(ours[place], [reference[place]]).score
        assert change.other_chrf == sacrebleu.sentence_chrf(theirs[place], [reference[place]]).score
    gains = [change.gain for change in comparison.better]
    assert gains == sorted(gains, reverse=True)
    assert {change.line for change in comparison.better} == {1, 4, 5}
    assert [change.line for change in comparison.worse] == [3]


def test_warnings_explain_unreliable_scores() -> None:
    text = ReferencedText(["a", "b", ""], [["x y z w", "", "x y z w"]])
    one, two, few = text_warnings(text, is_compared=True)
    assert one.startswith("line 2: ")
    assert two.startswith("line 3: ")
    assert "3 lines are too few" in few
    (empty,) = translation_warnings(["", "y", ""], text, WAY)
    assert "1 of 2 translations is empty" in empty
    same = ReferencedText(["a b c d"], [["e f g h"], ["a b c d"]])
    assert "same text as the sources" in next(text_warnings(same, is_compared=False))
    many = ReferencedText(["a"] * 100, [["x y z ."] * 100])
    assert not list(text_warnings(many, is_compared=True))
    (tokenized,) = translation_warnings(["x ."] * 100, many, WAY)
    assert "--tokenize none" in tokenized
    assert not list(translation_warnings(["x ."] * 100, many, MetricConfig(tokenize="none")))


def test_a_tokenizer_that_does_not_fit_the_references_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--src", write(tmp_path / "src", ["I buy it."] * 6), "--ref", write(tmp_path / "ref", ["我买苹果。"] * 6)]
    found = json.loads(told(capsys, tmp_path / "ref", *files, "--json", "--no-ter"))
    (warning,) = found["warnings"]
    assert "tokenizer 13a needs spaces between words" in warning
    assert "use --tokenize zh" in warning
    found = json.loads(told(capsys, tmp_path / "ref", *files, "--json", "--no-ter", "--tokenize", "zh"))
    assert not found["warnings"]
    assert found["scores"]["bleu"]["value"] == pytest.approx(100)
    assert "tok:zh" in found["scores"]["bleu"]["signature"]
    short = ReferencedText(["a"] * 2, [["Oui."] * 2])
    assert list(text_warnings(short, is_compared=False)) == [
        "most references have fewer than 4 tokens, too few for BLEU; rely on chrF"
    ]


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert cli._run(["evaluate", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert cli._run(["evaluate", *map(str, arguments)]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err.count("\n") == 1
    assert said.err.startswith("error: ")
    return said.err


def write(path: Path, lines: list[str]) -> Path:
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


@pytest.fixture
def texts(corpus: Path) -> list[object]:
    return ["--src", corpus / "valid.en", "--ref", corpus / "valid.fr"]


def test_run_is_scored_and_its_translations_are_saved(
    tiny_run: Path, corpus: Path, texts: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.fr"
    found = json.loads(told(capsys, tiny_run, *texts, "--output", kept, "--json"))
    sources, reference = ((corpus / f"valid.{side}").read_text("utf-8").splitlines() for side in ("en", "fr"))
    translations = load_translator(tiny_run, "cpu").translate(sources)
    assert kept.read_text("utf-8").splitlines() == translations
    assert found["scores"]["bleu"]["value"] == sacrebleu.corpus_bleu(translations, [reference]).score
    assert found["scores"]["ter"]["value"] == sacrebleu.corpus_ter(translations, [reference]).score
    assert (found["lines"], found["unit"]) == (20, "words")
    assert sum(bucket["num_lines"] for bucket in found["buckets"]) == 20
    again = json.loads(told(capsys, kept, *texts, "--json"))
    renamed = [warning.replace(str(tiny_run), str(kept)) for warning in found["warnings"]]
    assert again == {**found, "translations": str(kept), "warnings": renamed}
    greedy = json.loads(told(capsys, tiny_run, *texts, "--beam-size", 1, "--length-penalty", 0, "--json"))
    assert greedy["scores"] != found["scores"]
    text = told(capsys, kept, *texts)
    for name, label in ("bleu", "BLEU"), ("chrf", "chrF"), ("ter", "TER"):
        assert f"{found['scores'][name]['value']:.2f}" in text
        assert f"{label:<4}  {found['scores'][name]['signature']}\n" in text + "\n"


def test_two_runs_are_compared(
    tiny_run: Path, other_run: Path, texts: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    found = json.loads(told(capsys, tiny_run, *texts, "--output", ours, "--against", other_run, "--json", "--show", 2))
    alone = json.loads(told(capsys, other_run, *texts, "--output", theirs, "--json"))
    other = found["against"]
    assert other["scores"] == alone["scores"]
    assert other["buckets"] == alone["buckets"]
    assert len(other["better"]) == min(2, other["num_better"])
    assert other["num_better"] + other["num_worse"] <= other["num_changed"] <= 20
    text = told(capsys, ours, *texts, "--against", theirs, "--show", 1)
    p_values = next(line for line in text.split("\n") if line.startswith("p  ")).split()[1:]
    expected = [other["significance"][name]["p_value"] for name in ("bleu", "chrf", "ter")]
    assert p_values == ["-" if value is None else f"{value:.3f}" for value in expected]
    assert other["significance"]["ter"]["signature"] in text
    assert text.count("\n  source ") == min(1, other["num_better"]) + min(1, other["num_worse"])
    same = told(capsys, ours, *texts, "--against", ours)
    assert "All translations are identical." in same


def test_control_characters_are_escaped_in_text_and_kept_in_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = tmp_path / f"{'long' * 30}.txt"
    source, reference = write(tmp_path / "src", HOSTILE), write(tmp_path / "ref", HOSTILE)
    changed = write(name, [f"{line} plus" for line in HOSTILE])
    # The byte-order mark at the start of a file is no text; this one is not at the start.
    files = ["--src", source, "--ref", reference, "--against", changed, "--show", 9]
    text = told(capsys, reference, *files)
    assert all(line.isprintable() or "\u2068" in line for line in text.split("\n"))
    tables = text[text.index("\n") : text.index("\nline ")].split("\n")
    assert max(map(columns_of, tables)) <= 80
    found = json.loads(told(capsys, reference, *files, "--json"))
    by_line = {change["line"]: change for change in found["against"]["better"]}
    assert [by_line[number]["translation"] for number in range(1, 8)] == HOSTILE
    assert found["scores"]["chrf"]["value"] == 100


def test_compressed_and_multiple_references_are_read(
    texts: list[object], corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = tmp_path / "valid.fr.gz"
    packed.write_bytes(gzip.compress((corpus / "valid.fr").read_bytes()))
    table = write(
        tmp_path / "both.tsv",
        [f"{number}\t{line}" for number, line in enumerate((corpus / "valid.fr").read_text("utf-8").splitlines())],
    )
    found = json.loads(told(capsys, packed, *texts, "--ref", packed, "--ref", table, "--json"))
    assert found["scores"]["bleu"]["value"] == pytest.approx(100)
    assert "nrefs:3" in found["scores"]["bleu"]["signature"]


def test_signatures_record_case_and_tokenizer(texts: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, texts[3], *texts, "--lowercase", "--tokenize", "char")
    assert "case:lc|eff:no|tok:char" in text


def test_ter_can_be_skipped(texts: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(told(capsys, texts[3], *texts, "--against", texts[1], "--no-ter", "--json"))
    assert list(found["scores"]) == list(found["against"]["significance"]) == ["bleu", "chrf"]
    text = told(capsys, texts[3], *texts, "--against", texts[1], "--no-ter")
    assert "\nTER" not in text
    assert "significance: 20 lines are too few" in found["warnings"][0]


def test_unusable_input_is_reported_in_one_line(
    tiny_run: Path, texts: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = texts[3]
    short, empty = write(tmp_path / "short.fr", ["Une ligne."]), write(tmp_path / "empty", [])
    blank = write(tmp_path / "blank", [""] * 20)
    said = refused(capsys, tiny_run, *texts[:3], short)
    assert "valid.en has 20 lines but" in said
    assert "short.fr has 1;" in said
    assert "short.fr has 1;" in refused(capsys, tiny_run, *texts, "--ref", short)
    assert "short.fr has 1;" in refused(capsys, short, *texts)
    assert "short.fr has 1;" in refused(capsys, reference, *texts, "--against", short)
    assert "nothing to score against" in refused(capsys, tiny_run, *texts[:3], blank)
    assert "nothing to score against" in refused(capsys, tiny_run, "--src", empty, "--ref", empty)
    assert "no such file or folder" in refused(capsys, tmp_path / "no", *texts)
    assert "not a run folder" in refused(capsys, reference, *texts, "--against", tmp_path)
    assert "no such file" in refused(capsys, tiny_run, *texts[:3], tmp_path / "no")
    assert "choose one of 13a, " in refused(capsys, tiny_run, *texts, "--tokenize", "moses")
    assert "--ref" in refused(capsys, tiny_run, *texts[:2])


def test_ineffective_or_harmful_options_are_rejected(
    tiny_run: Path, texts: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = texts[3]
    assert "--against" in refused(capsys, tiny_run, *texts, "--show", 2)
    assert "--beam-size" in refused(capsys, reference, *texts, "--beam-size", 2)
    assert "--length-penalty" in refused(capsys, reference, *texts, "--length-penalty", 2)
    assert "--device" in refused(capsys, reference, *texts, "--device", "cpu")
    assert "already" in refused(capsys, reference, *texts, "--output", tmp_path / "out")
    assert "would overwrite an input file" in refused(capsys, tiny_run, *texts, "--output", reference)
    assert ".gz" in refused(capsys, tiny_run, *texts, "--output", tmp_path / "out.gz")
    assert not list(tmp_path.iterdir())
