"""Compare scores and significance with direct calls to sacreBLEU."""

from __future__ import annotations

import pytest
import sacrebleu
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import PairedTest

from translate.errors import UserError
from translate.evaluation.metrics import (
    METRICS,
    SEED,
    MetricConfig,
    are_short,
    check,
    score,
    sentence_chrf,
    significance,
    unspaced_tokenizer,
)

REFERENCE = ["Le chat dort sur le tapis rouge.", "J'aime les pommes.", "", "Trois oiseaux chantent.", "我爱苹果"]
OURS = ["Le chat dort sur un tapis rouge.", "j'aime les Pommes.", "", "Trois chats chantent ici.", "我爱苹"]
THEIRS = ["Un chat dort.", "J'aime des pommes.", "Quoi ?", "Trois oiseaux chantent.", "他爱苹果"]
ALL = MetricConfig(METRICS)
# A zero byte, line ends that are none, a tab, both directions, an emoji of several characters.
HOSTILE = ["\x00", "a\u2028b\x85c", "\t\t", "مرحبا, world", "👩‍👩‍👧 " * 50, " .", "\ufeff", "½ & &amp; &quot;"]


@pytest.mark.parametrize("texts", [(OURS, REFERENCE), (THEIRS, OURS), (HOSTILE, HOSTILE[::-1]), ([""], [""])])
def test_scores_and_signatures_match_sacrebleu(texts: tuple[list[str], list[str]]) -> None:
    translations, reference = texts
    found = score(translations, [reference], ALL)
    for name, function, metric in (
        ("bleu", sacrebleu.corpus_bleu, BLEU()),
        ("chrf", sacrebleu.corpus_chrf, CHRF()),
        ("ter", sacrebleu.corpus_ter, TER()),
    ):
        assert found[name].value == function(translations, [reference]).score
        metric.corpus_score(translations, [reference])
        assert found[name].signature == str(metric.get_signature())


def test_case_and_tokenizer_apply_to_bleu_and_its_signature() -> None:
    found = score(OURS, [REFERENCE], config=MetricConfig(lowercase=True, tokenize="zh"))
    assert found["bleu"].value == sacrebleu.corpus_bleu(OURS, [REFERENCE], lowercase=True, tokenize="zh").score
    assert "case:lc" in found["bleu"].signature
    assert "tok:zh" in found["bleu"].signature
    assert found["chrf"].value == sacrebleu.corpus_chrf(OURS, [REFERENCE]).score


def test_unavailable_tokenizer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"--tokenize 13: choose one of 13a, .*intl.*zh"):
        score(OURS, [REFERENCE], config=MetricConfig(tokenize="13"))
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_ja_mecab.MeCab", None)
    with pytest.raises(UserError, match=r"--tokenize ja-mecab: .*pip install sacrebleu\[ja\]"):
        score(OURS, [REFERENCE], config=MetricConfig(tokenize="ja-mecab"))


def test_multiple_references_and_sentence_chrf_match_sacrebleu() -> None:
    found = score(OURS, [REFERENCE, THEIRS], ALL)
    assert found["bleu"].value == sacrebleu.corpus_bleu(OURS, [REFERENCE, THEIRS]).score
    assert found["ter"].value == sacrebleu.corpus_ter(OURS, [REFERENCE, THEIRS]).score
    assert "nrefs:2" in found["ter"].signature
    assert sentence_chrf(OURS[0], [REFERENCE[0], THEIRS[0]]) == (
        sacrebleu.sentence_chrf(OURS[0], [REFERENCE[0], THEIRS[0]]).score
    )


def test_sacrebleu_warning_about_tokenized_text_is_suppressed(caplog: pytest.LogCaptureFixture) -> None:
    score(["Fini ."] * 200, [["Fini."] * 200])
    assert not caplog.records


@pytest.mark.parametrize("seed", ["12345", "7"])
def test_significance_matches_sacrebleus_paired_bootstrap(seed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SEED, seed)
    found = significance(OURS, THEIRS, [REFERENCE], ALL)
    systems = [("baseline", THEIRS), ("ours", OURS)]
    metrics = {"bleu": BLEU(), "chrf": CHRF(), "ter": TER()}
    signatures, expected = PairedTest(systems, metrics, [REFERENCE], test_type="bs")()
    for name, label in zip(METRICS, ("BLEU", "chrF2", "TER"), strict=True):
        assert found[name].p_value == expected[label][1].p_value
        assert found[name].margin == pytest.approx(expected[label][1].ci)
        assert found[name].other_margin == pytest.approx(expected[label][0].ci)
        assert found[name].signature == str(signatures[label])
        assert f"bs:1000|seed:{seed}|" in found[name].signature


def test_equal_scores_are_never_significant() -> None:
    cased = [text.upper() for text in OURS]
    assert {each.p_value for each in significance(OURS, list(OURS), [REFERENCE], ALL).values()} == {None}
    by_metric = significance(OURS, cased, [REFERENCE], ALL)  # TER does not see case
    assert [by_metric[name].p_value is None for name in METRICS] == [False, False, True]
    assert {each.p_value for each in significance(OURS[:1], THEIRS[:1], [REFERENCE[:1]], ALL).values()} == {None}


def test_invalid_seed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SEED, "lucky")
    with pytest.raises(UserError, match="SACREBLEU_SEED=lucky"):
        check(ALL)
    monkeypatch.setenv(SEED, "None")
    check(ALL)


@pytest.mark.parametrize(
    ("line", "tokenizer"),
    [
        ("我买苹果。", "zh"),
        ("她在 Python 社区里工作了很多年。", "zh"),
        ("私はりんごを買います。", "char"),
        ("ฉันซื้อแอปเปิล", "char"),
        ("ខ្ញុំទិញផ្លែប៉ោម", "char"),
        ("나는 사과를 사서 먹었다.", None),
        ("मैं सेब ख़रीदता हूँ।", None),
        ("The word 苹果 means apples.", None),
        *((text, "char") for text in ("ｶﾀｶﾅﾀﾞｹﾉｷﾞｮｳ", "ㄅㄆㄇㄈㄉㄊㄋㄌ", "ᨠᩥ᩠ᨶᨡᩮᩢᩣᨠᩥ", "ꪀꪁꪂꪃꪄꪅꪆ", "ꦏꦥꦤꦏꦸꦩꦔ")),
        ("", None),
    ],
)
def test_text_without_spaces_gets_a_tokenizer_by_which_identical_texts_score_100(
    line: str, tokenizer: str | None
) -> None:
    assert unspaced_tokenizer([line] * 3) == tokenizer
    if tokenizer:
        assert score([line], [[line]], MetricConfig(tokenize=tokenizer))["bleu"].value == pytest.approx(100)


def test_references_are_short_if_most_have_no_4_gram() -> None:
    assert are_short(["Three short words", "a b", "", "This one has four"], None)
    assert not are_short(["Three short words", "one two three.", "four words are enough"], None)  # the full stop counts
    assert are_short(["我买苹果。"], None)
    assert not are_short(["我买苹果。"], "zh")
    assert not are_short([], None)
