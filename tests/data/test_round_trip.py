"""Target lines that encoding changes are found, with the cause and the characters that are lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from translate.config.settings import Config, VocabSettings
from translate.data.round_trip import ChangedLine, changed_lines, count_changes, named, speller
from translate.data.vocab import Vocab, train_vocab
from translate.run.folder import Run
from translate.training.prepare import prepare

KEPT = [
    "می\u200cخرم",
    "क\u094d\u200dष",
    "是，吗？",
    "น้ำ",
    "… ² № 12½ ﬁ Å क़ ｶﾞ",
    "\u200b\u200f\u00ad\ufeff\ufffd",
    "",
    "\x00\x01\x7f",
]


def changes(vocab: Vocab, lines: list[str]) -> list[ChangedLine]:
    return list(changed_lines(vocab, lines, vocab.encode(lines)))


@pytest.mark.parametrize("rule", ["nfc", "identity"])
def test_visible_and_joining_characters_survive_the_default_rule(rule: str) -> None:
    assert changes(speller(rule), KEPT) == []


@pytest.mark.parametrize(
    "line", ["a\u00a0b", "a\u202fb", "a\u3000b", " a", "a  b", "a\tb", "a\r", "e\u0301", "a\u0302\u0323"]
)
def test_spaces_and_uncomposed_marks_are_unified_without_a_visible_change(line: str) -> None:
    (change,) = changes(speller("nfc"), ["a", line])
    assert (change.row, change.cause) == (1, "respaced")
    assert count_changes(iter([change])) == (Counter(respaced=1), Counter())


def test_rewritten_lines_are_counted_with_the_characters_that_are_lost() -> None:
    causes, lost = count_changes(changed_lines(rule := speller("nmt_nfkc"), KEPT, rule.encode(KEPT)))
    assert causes == {"rewritten": 6}  # U+200D stays
    assert lost["\u200c"] == lost["½"] == lost["，"] == 1
    assert changes(speller("nfc"), ["a▁b"]) == [ChangedLine(0, "rewritten", {"▁"})]
    assert changes(speller("nfkc_cf"), ["École"])[0].lost == {"É"}


def test_lines_that_the_vocabulary_cannot_spell_have_their_own_cause() -> None:
    settings = VocabSettings(size=20, byte_fallback=False)
    vocab = train_vocab(lambda: ["abc abd"] * 9, settings, seed=1, log=lambda _: None)
    assert changes(vocab, ["abc", "cañ"]) == [ChangedLine(1, "unspelled", {"ñ"})]


def test_lost_characters_are_named_most_frequent_first() -> None:
    assert named(Counter({"½": 2, "\u200c": 1_000})) == "U+200C in 1,000, ½ (U+00BD) in 2"
    assert named(Counter("abcdefghijk")).endswith("j (U+006A) in 1, …")


def test_training_logs_changed_targets_before_the_first_step(tmp_path: Path, tiny_config: Config) -> None:
    """Also for a vocabulary that was given."""
    tgt = tmp_path / "a.tgt"
    tgt.write_text("".join(f"{line}½ می\u200cخرم\n" for line in range(200)), "utf-8")
    other = train_vocab(lambda: ["12½ می"], VocabSettings(size=300, normalization="nmt_nfkc"), 1, lambda _: None)
    (tmp_path / "vocab.model").write_bytes(other.proto)
    for name, vocab in ("new", {"normalization": "nfc"}), ("given", {"model": str(tmp_path / "vocab.model")}):
        data = tiny_config.data.model_copy(update={"train_tgt": str(tgt)})
        config = tiny_config.model_copy(update={"data": data, "vocab": VocabSettings(size=400, **vocab)})
        run = Run.create(tmp_path / name, config)
        report = prepare(run, config).train.report
        log = run.log_path.read_text("utf-8")
        if name == "new":
            assert report.changed == {}
            assert "exactly" not in log
        else:
            assert report.changed == {"rewritten": 200}
            assert report.lost["½"] == report.lost["\u200c"] == 200
            assert "translations cannot match exactly: 200 rewritten by normalization (" in log
            assert 'vocab.normalization = "nfc" keeps' in log
