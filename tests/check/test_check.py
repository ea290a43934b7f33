"""Corpus checks find planted problems on the right lines, and report no problems in a clean corpus."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.helpers.commands import run
from tests.helpers.corpora import TOY, toy_pairs, with_faults
from tests.helpers.runs import TINY, changed
from translate.check import lenient_reader
from translate.check.check import CheckReport, Texts, check
from translate.check.findings import HARMLESS, MEANINGS
from translate.config.settings import Config, VocabSettings
from translate.config.toml import load_config
from translate.data.parallel_text import ParallelText
from translate.data.readers import lines as reader
from translate.data.readers.lines import MAX_LINE_BYTES
from translate.data.readers.sides import Side
from translate.data.text_scan import scan_text
from translate.data.vocab import Vocab, VocabPair, train_vocab
from translate.errors import UserError
from translate.report.findings import as_json, as_text
from translate.report.text import visible
from translate.run.folder import Run
from translate.system.terminal_text import columns_of
from translate.training.prepare import prepare


def text_of(folder: Path, src: list[bytes], tgt: list[bytes], name: str = "a") -> ParallelText:
    sides = []
    for language, lines in ("en", src), ("fr", tgt):
        path = folder / f"{name}.{language}"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        sides.append(Side(path, 1))
    return ParallelText(*sides)


def checked(text: ParallelText, vocab: Vocab | None = None, **settings: object) -> CheckReport:
    config = load_config(None, {name.replace("__", "."): value for name, value in settings.items()})
    return check(Texts(text), config, VocabPair(vocab, vocab) if vocab else None, 1, lambda _: None)


def lines_of(report: CheckReport) -> dict[str, list[int]]:
    return {finding.name: list(finding.lines) for finding in report.findings}


def clean_lines(count: int) -> tuple[list[bytes], list[bytes]]:
    pairs = toy_pairs(count)
    return [pair.src.encode() for pair in pairs], [pair.tgt.encode() for pair in pairs]


def test_target_lines_that_translations_cannot_match_are_listed(tmp_path: Path) -> None:
    """By the rule that the settings name, or by a given vocabulary."""
    tgt = [*clean_lines(6)[1], "12½".encode(), "می\u200cخرم".encode(), "c'est\u00a0tout".encode(), "a▁b".encode()]
    text = text_of(tmp_path, clean_lines(10)[0], tgt)
    found = lines_of(checked(text))
    assert (found["rewritten_target"], found["respaced_target"]) == ([10], [9])
    report = checked(text, vocab__normalization="nmt_nfkc")
    assert lines_of(report)["rewritten_target"] == [7, 8, 10]
    shown = as_text(report, ("a", "b"), load_config(None, {}))
    assert (
        "3 × target lines rewritten by normalization: lines 7, 8, 10\n    lines that lose a character: ½ (U+00BD)"
        in shown
    )
    assert 'vocab.normalization = "nfc"' in shown
    settings = VocabSettings(size=40, byte_fallback=False)
    vocab = train_vocab(lambda: [line.decode() for line in tgt[:6]], settings, 1, lambda _: None)
    assert lines_of(checked(text, vocab))["unspelled_target"] == [7, 8]


def test_a_clean_corpus_has_a_short_report_without_problems(tmp_path: Path) -> None:
    config = load_config(None, {"vocab.character_coverage": 1.0})
    text = ParallelText(Side(TOY / "train.en", 1), Side(TOY / "train.fr", 1))
    report = check(Texts(text), config, None, 1, lambda _: None)
    assert report.findings == ()
    shown = as_text(report, ("a.en", "a.fr"), config)
    assert "20,000 pairs" in shown
    assert "No problems found." in shown
    assert len(shown.splitlines()) <= 12


@pytest.mark.parametrize("block_pairs", [4000, 7])
def test_problems_are_reported_on_the_right_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_pairs: int
) -> None:
    monkeypatch.setattr(lenient_reader, "BLOCK_PAIRS", block_pairs)
    src, tgt = clean_lines(900)
    rows = Random(3).sample(range(1, 800), 8)
    src[0] = b"\xef\xbb\xbf" + src[0]
    src[rows[0]] = b"caf\xe9"
    tgt[rows[1]] = b"x" * (2 * MAX_LINE_BYTES + 5)
    src[rows[2]] += b"\r"
    src[rows[3]] = b" "
    tgt[rows[4]] = b""
    src[rows[5]] = tgt[rows[5]] = b"\xe2\x80\xa8"  # a line of a line separator is empty
    src[rows[6]] = b"word " * 3000
    src[rows[7]] = src[850]
    tgt[rows[7]] = tgt[850] + b" Non !"
    report = checked(text_of(tmp_path, src, tgt), vocab__character_coverage=1.0)
    found = lines_of(report)
    assert found.pop("same_source") == [max(rows[7], 850) + 1]
    assert found.pop("length_ratio") == [rows[6] + 1]
    expected = {
        "bom": 1,
        "not_utf8": rows[0] + 1,
        "endless": rows[1] + 1,
        "crlf": rows[2] + 1,
        "empty_source": rows[3] + 1,
        "empty_target": rows[4] + 1,
        "empty_both": rows[5] + 1,
        "maybe_too_long": rows[6] + 1,
    }
    assert found == {name: [line] for name, line in expected.items()}
    assert report.num_pairs == 900
    assert [finding.name for finding in report.findings] == [
        name for name in MEANINGS if name in {*expected, "same_source", "length_ratio"}
    ]
    assert (report.longest[0][0].characters, report.longest[0][0].line) == (15000, rows[6] + 1)


def test_counts_of_filtered_pairs_match_training(tmp_path: Path) -> None:
    pairs, planted = with_faults(toy_pairs(1500))
    pairs[7], pairs[8] = pairs[7]._replace(tgt=""), pairs[8]._replace(src="a b " * 400)
    text = text_of(tmp_path, [pair.src.encode() for pair in pairs], [pair.tgt.encode() for pair in pairs])
    valid = text_of(tmp_path, [b"I."], [b"Je."], "valid")
    paths = {
        "data.train_src": str(text.src.path),
        "data.train_tgt": str(text.tgt.path),
        "data.valid_src": str(valid.src.path),
        "data.valid_tgt": str(valid.tgt.path),
    }
    names = ["script", "duplicates", "control", "language", "length_ratio", "identical"]
    config = load_config(None, TINY | paths | {"data.filter": names})
    run = Run.create(tmp_path / "run", config)
    prepared = prepare(run, config)
    report = check(Texts(text, valid), config, prepared.vocabs, 1, lambda _: None)
    found = lines_of(report)
    for name in set(planted) - {"language", "length_ratio"}:
        assert found[name] == [row + 1 for row in planted[name]]
    assert found["length_ratio"] == [9, *(row + 1 for row in planted["length_ratio"])]
    assert found["too_long"] == [9]
    assert report.num_left_out == prepared.train.report.num_read - len(prepared.train)
    for finding in report.findings:
        if finding.name in names:
            assert finding.training == "left out by data.filter"
        elif finding.name in planted:
            assert finding.training == f'kept; set data.filter = ["{finding.name}"] to leave them out'


def test_overlap_is_matched_by_source_and_counts_identical_pairs(tmp_path: Path) -> None:
    src, tgt = clean_lines(100)
    test = text_of(tmp_path, [src[10], src[20], b"New."], [tgt[10], b"Autre.", b"Neuf."], "test")
    valid = text_of(tmp_path, [src[30] + b" "], [tgt[30]], "valid")
    texts = Texts(text_of(tmp_path, src, tgt), valid, test)
    findings = {each.name: each for each in check(texts, load_config(None), None, 1, lambda _: None).findings}
    sources = Counter(line.strip() for line in src)
    assert findings["overlap_test"].count == sources[src[10]] + sources[src[20]]
    assert {11, 21} <= set(findings["overlap_test"].lines)
    assert findings["overlap_test"].note == "including 1 with the same target"
    assert 31 in findings["overlap_valid"].lines


def test_files_with_different_line_counts_are_reported(tmp_path: Path) -> None:
    src, tgt = clean_lines(50)
    report = checked(text_of(tmp_path, src, tgt[:47]))
    assert report.num_lines == (50, 47)
    assert report.num_pairs == 47
    assert lines_of(report)["line_counts"] == [48, 49, 50]


def test_unknown_characters_are_those_that_the_vocabulary_encodes_as_bytes(tmp_path: Path, tiny_run: Path) -> None:
    vocab = Vocab.load(tiny_run / "vocab.model")
    src, tgt = clean_lines(200)
    src[4] += "ж".encode()
    tgt[9] += "жж字".encode()
    report = checked(text_of(tmp_path, src, tgt), vocab)
    finding = next(each for each in report.findings if each.name == "unknown_characters")
    known = {piece for piece in vocab.pieces(range(vocab.size)) if len(piece) == 1}
    letters = Counter(letter for line in (*src, *tgt) for letter in line.decode() if letter not in {*known, " "})
    assert finding.count == letters.total()
    assert {5, 10} <= set(finding.lines)
    assert "3 × ж (U+0436)" in finding.note


def test_rare_characters_are_those_outside_the_coverage(tmp_path: Path) -> None:
    lines = [b"a" * 500, b"b" * 497, b"ccd"]
    report = checked(text_of(tmp_path, lines, [b"a"] * 3), vocab__character_coverage=0.999)
    finding = next(each for each in report.findings if each.name == "rare_characters")
    assert (finding.count, finding.note) == (1, "1 × d (U+0064)")


def test_columns_of_compressed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress(b"Go.\tVa !\nbroken\nHi.\tSalut !\n"))
    report = checked(ParallelText(Side(path, 1), Side(path, 2)), vocab__character_coverage=1.0)
    assert lines_of(report) == {"columns": [2]}


def test_corpus_statistics_use_only_the_selected_columns(tmp_path: Path) -> None:
    src, tgt = clean_lines(300)
    plain = checked(text_of(tmp_path, src, tgt))
    path = tmp_path / "a.tsv"
    path.write_bytes(b"".join(b"%s\t%s\t%s\n" % (*pair, b"word " * 1000) for pair in zip(src, tgt, strict=True)))
    columns = checked(ParallelText(Side(path, 1), Side(path, 2)))
    assert columns == plain


def test_a_report_contains_no_control_characters(tmp_path: Path) -> None:
    src, tgt = clean_lines(30)
    src[3] = "\x1b[31mred\x07 \u202e\u2028\x9b".encode()
    tgt[4] = b"\xff\x1b]0;title\x07"
    text = text_of(tmp_path, src, tgt)
    report = checked(text)
    for shown in as_text(report, ("\x1b[2J.en", "a\nb.fr"), load_config(None)), as_json(report, ("\x1b", "b")):
        assert all(character.isprintable() for character in shown.replace("\n", ""))
    assert r"\x1b[31mred\x07 \u202e\u2028\x9b" in as_text(report, ("a", "b"), load_config(None))
    assert visible("x" * 100, 10) == "x" * 9 + "…"


def test_random_bytes_are_reported(tmp_path: Path) -> None:
    random = Random(4)
    paths = [tmp_path / name for name in ("a.en", "a.fr")]
    for path in paths:
        path.write_bytes(random.randbytes(300_000))
    report = checked(ParallelText(Side(paths[0], 1), Side(paths[1], 1)))
    assert max(report.num_lines) == max(path.read_bytes().count(b"\n") for path in paths) + 1
    assert next(each for each in report.findings if each.name == "not_utf8").count > 0.9 * report.num_pairs
    as_text(report, ("a", "b"), load_config(None))


def test_the_command_prints_a_report_or_a_json_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    src, tgt = clean_lines(40)
    src[5] = b"caf\xe9"
    text = text_of(tmp_path, src, tgt)
    files = ["--src", text.src.path, "--tgt", text.tgt.path]
    status, shown, _ = run(capsys, "check", *files)
    assert status == 0
    assert "1 × not UTF-8: line 6" in shown
    assert r"caf\xe9" in shown
    assert "it looks like Windows-1252 or Latin-1; if so: iconv" in shown
    assert "training stops with an error; convert the file" in shown
    status, shown, _ = run(
        capsys, "check", *files, "--json", "--examples", 0, "--test-src", TOY / "test.en", "--test-tgt", TOY / "test.fr"
    )
    found: dict[str, Any] = json.loads(shown)
    assert (status, shown.count("\n")) == (0, 1)
    assert found["source"]["lines"] == found["pairs"] == 40
    [finding] = [each for each in found["findings"] if each["name"] not in HARMLESS]
    assert (finding["name"], finding["count"], finding["lines"], finding["examples"]) == ("not_utf8", 1, [6], [])


def test_unusable_input_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_SKIPPED_BYTES", 3 * MAX_LINE_BYTES)
    text = text_of(tmp_path, [b"a"], [b"b"])
    path = text.src.path
    overlong = tmp_path / "overlong"
    overlong.write_bytes(b"x" * 5 * MAX_LINE_BYTES)
    for arguments, said in (
        ([], "check: no text specified; use --src and --tgt"),
        (["--src", path], "[data] train_src is set but train_tgt is not"),
        (["--src", path, "--tgt", tmp_path / "none"], "none: no such file"),
        (["--src", path, "--tgt", tmp_path], "this is a folder"),
        (["--src", path, "--tgt", overlong], "overlong: a line is longer than 3,000,000 bytes"),
        (["--src", path, "--tgt", path, "--test-src", path], "--test-src and --test-tgt must"),
        (["--src", path, "--tgt", path, "--vocab", path], "not a sentencepiece model"),
        (["--src", path, "--tgt", path, "--vocab", tmp_path], "not a run folder"),
    ):
        status, shown, errors = run(capsys, "check", *arguments)
        assert (status, shown) == (2, ""), said
        assert said in errors
        assert errors.count("\n") == 1


def test_training_reports_frequent_problems_only_once(tmp_path: Path, tiny_config: Config) -> None:
    pairs = toy_pairs(1000)
    for row in range(0, 1000, 20):
        pairs[row] = pairs[row]._replace(tgt=pairs[row].src)
    pairs[7] = pairs[7]._replace(src="\x00")
    text = text_of(tmp_path, [pair.src.encode() for pair in pairs], [pair.tgt.encode() for pair in pairs])
    paths = {"train_src": str(text.src.path), "train_tgt": str(text.tgt.path)}
    for names, expected in ([], "identical sides in about 5.0% of the pairs; kept; set "), (["identical"], None):
        config = changed(tiny_config, "data", filter=names, **paths)
        run = Run.create(tmp_path / f"run{len(names)}", config)
        prepare(run, config)
        prepare(run, config)
        log = (run.path / "train.log").read_text()
        assert log.count("text: ") <= 5
        assert log.count(expected or "text: identical sides") == (1 if expected else 0)
        assert "control characters" not in log
        # The pairs that are identical are in the language of the other side, too: reported only if they are kept.
        assert ("text: wrong language" in log) == (not names)
    run = Run.create(tmp_path / "clean", tiny_config)
    prepare(run, tiny_config)
    assert "text: " not in (run.path / "train.log").read_text()


def test_empty_files_can_be_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = text_of(tmp_path, [], [])
    status, shown, _ = run(capsys, "check", "--src", text.src.path, "--tgt", text.tgt.path)
    assert status == 0
    assert "0 pairs" in shown
    assert "Nothing was found" not in shown
    assert "Training would stop with an error: no pairs are left to train on." in shown


def test_a_report_states_whether_training_would_stop(tmp_path: Path) -> None:
    src, tgt = clean_lines(50)
    for target, reason in (tgt, ""), (tgt[:47], "unpaired lines"), ([b"\xff", *tgt[1:]], "not UTF-8"):
        report = checked(text_of(tmp_path, src, target))
        shown = as_text(report, ("a", "b"), load_config(None))
        assert json.loads(as_json(report, ("a", "b")))["training_would_stop"] == reason
        assert ("Training would stop with an error" in shown) == bool(reason)
        assert ("Training would use" in shown) != bool(reason)


def test_a_report_fits_into_eighty_columns(tmp_path: Path) -> None:
    src, tgt = clean_lines(600)
    src[3], tgt[4], src[4] = "漢字".encode() * 200, "שלום עולם ".encode() * 40, b"\x1b" * 300
    src[5:300], tgt[20] = tgt[5:300], b""
    report = checked(text_of(tmp_path, src, tgt[:590]))
    shown = as_text(report, ("a.en", "a.fr"), load_config(None))
    for line in shown.replace("\u2068", "").replace("\u2069", "").splitlines():
        assert columns_of(line) <= 80, line
    assert "| \u2068שלום" in shown


def test_length_is_counted_in_characters_for_a_character_vocabulary(tmp_path: Path) -> None:
    src, tgt = clean_lines(100)
    src[41] = b"a" * 256
    src[77] = b"a" * 255
    text = text_of(tmp_path, src, tgt)
    report = checked(text, vocab__algorithm="char")
    assert lines_of(report)["maybe_too_long"] == [42]
    assert report.vocab_size == len(set(b"".join(src + tgt).decode()))
    assert "maybe_too_long" not in lines_of(checked(text))


@pytest.mark.parametrize(("name", "other"), [("a.en", "a.en"), ("a.en", "link.txt"), ("a.txt", "a.txt")])
def test_the_same_file_on_both_sides_is_refused_with_the_way_out(
    tmp_path: Path, tiny_config: Config, name: str, other: str
) -> None:
    """By the check and by training, also through a link, and as validation text."""
    text = tmp_path / name
    text.write_bytes((TOY / "valid.en").read_bytes())
    (tmp_path / "link.txt").symlink_to(text)
    report = checked(ParallelText(Side(text, 1), Side(tmp_path / other, 1)))
    assert report.findings[0].name == "same_sides"
    assert "Training would stop with an error: pairs, all with the same" in as_text(report, ("a", "b"), Config())
    for part in "train", "valid":
        sides = {f"{part}_src": str(text), f"{part}_tgt": str(tmp_path / other)}
        run = Run.create(tmp_path / part, changed(tiny_config, "data", **sides))
        with pytest.raises(UserError, match=r"both sides of every pair are the same; .* ends in \.tsv, "):
            prepare(run, run.load_config())


def test_two_files_with_the_same_lines_are_trained_on(tmp_path: Path, tiny_config: Config) -> None:
    """Copying is a task like any other, but the check counts the pairs."""
    src, tgt = tmp_path / "a.txt", tmp_path / "copy.txt"
    for path in src, tgt:
        path.write_bytes((TOY / "valid.en").read_bytes())
    (finding,) = [
        each for each in checked(ParallelText(Side(src, 1), Side(tgt, 1))).findings if each.name == "identical"
    ]
    run = Run.create(tmp_path / "run", changed(tiny_config, "data", train_src=str(src), train_tgt=str(tgt)))
    assert prepare(run, run.load_config()).train.report.pairs == finding.count


def test_lines_of_a_whole_document_are_trained_on_or_called_too_long(tmp_path: Path, tiny_config: Config) -> None:
    """Beyond the 2,000 characters of the sample and the 4,192 bytes of sentencepiece."""
    lines = [" ".join(pair[side] for pair in toy_pairs(600)) for side in (0, 1)]
    assert min(map(len, lines)) > 5_000
    text = text_of(tmp_path, [lines[0].encode()] * 30, [f"{i} {lines[1]}".encode() for i in range(30)])
    paths = {"train_src": str(text.src.path), "train_tgt": str(text.tgt.path)}
    long = Run.create(tmp_path / "long", changed(tiny_config, "data", max_pieces=100_000, **paths))
    prepared = prepare(long, long.load_config())
    assert (prepared.train.report.pairs, prepared.train.report.changed) == (30, {})
    short = Run.create(tmp_path / "short", changed(tiny_config, "data", **paths))
    with pytest.raises(UserError, match=r"30 longer than data\.max_pieces.*raise data\.max_pieces \(256\), or split"):
        prepare(short, short.load_config())
    assert all(pair.is_full for pair in scan_text(text).sample)
