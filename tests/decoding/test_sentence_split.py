"""Splitting a long line loses nothing, exceeds no limit and cuts at natural boundaries."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translate.config.settings import VocabSettings
from translate.data.vocab import train_vocab
from translate.decoding.sentence_split import Segment, join, max_countable, split_line

SENTENCES = {
    "en": [
        "J. Smith met Mrs. No in the U.S. at 3.14 p.m. and left.",
        '"Stop!" he said.',
        "(Yes.)",
        "What?!",
        "No…",
        "Oh!",
    ],
    "de": ["Am 3. Mai kam z.B. Herr Müller.", "Er rief: „Hallo.“", "Ludwig XIV. war König.", "»Ja.«", "Nr. 5 geht."],
    "fr": ["« Bonjour ! » dit-il.", "« Ça va ? »", "Mme. Dupont est là."],
    "ru": ["Иванов И. И. пришёл.", "Что?", "Да."],
    "hi": ["यह एक वाक्य है।", "यह दूसरा है।"],
    "ar": ["هل أنت هنا؟", "نعم."],
    "ko": ["안녕하세요.", "저는 학생입니다."],
}
UNSPACED = ["他说：“你好。”", "然后走了！", "真的吗？", "「はい。」", "と言った。", "圆周率是3.14。"]
TEXT = st.text(st.sampled_from("ab. .!?。，,;  \t\n\u2028'\"“«»1ée\u0301😀\u200d\U0001f1e6न\u0941漢")) | st.text()


def count_thirds(texts: Sequence[str]) -> list[int]:
    """Count the pieces of a vocabulary without a file, where a piece is up to three letters of a word."""
    return [sum(-(-len(word) // 3) for word in text.split()) for text in texts]


def spelled(segments: Sequence[Segment]) -> str:
    return "".join(segment.text + segment.separator for segment in segments)


@given(TEXT, st.integers(1, 12))
@settings(max_examples=400, deadline=None)
def test_segments_reproduce_the_line_and_fit(line: str, max_pieces: int) -> None:
    segments = split_line(line, max_pieces, count_thirds)
    assert spelled(segments) == line
    assert max(count_thirds([segment.text for segment in segments])) <= max_pieces
    assert all(segment.text.strip() == segment.text != "" for segment in segments[1:])
    assert all(not segment.separator.strip() for segment in segments)


@given(st.lists(st.tuples(TEXT, TEXT)))
@settings(deadline=None)
def test_joining_keeps_every_word(pairs: list[tuple[str, str]]) -> None:
    segments = [Segment(text, " ") for text, _ in pairs]
    joined = join(segments, [translation for _, translation in pairs])
    assert joined.replace(" ", "") == "".join(translation for _, translation in pairs).replace(" ", "")


@pytest.mark.parametrize("language", SENTENCES)
def test_each_sentence_is_a_segment(language: str) -> None:
    sentences = SENTENCES[language]
    segments = split_line("  ".join(sentences), 20, count_thirds)
    assert [segment.text for segment in segments] == sentences
    assert join(segments, sentences) == " ".join(sentences)


def test_sentence_without_a_following_space_is_a_segment() -> None:
    segments = split_line("".join(UNSPACED), 20, count_thirds)
    assert [segment.text for segment in segments] == UNSPACED
    assert join(segments, UNSPACED) == "".join(UNSPACED)
    assert join(segments, ["Hi."] * 6) == "Hi. Hi. Hi. Hi. Hi. Hi."


def test_chinese_translations_are_joined_without_a_space() -> None:
    segments = [Segment("Hello.", " "), Segment("Bye.", "\n")]
    assert join(segments, ["你好。", "再见。"]) == "你好。再见。"
    assert join(segments, ["", "Tschüss."]) == "Tschüss."
    assert join(segments, ["안녕.", "잘 가."]) == "안녕. 잘 가."


def test_long_sentence_is_cut_at_clauses_into_similar_parts() -> None:
    clauses = [f"the {animal} sat on its mat and slept" for animal in ("cat", "dog", "cow", "hen", "pig", "rat")]
    segments = split_line(", ".join(clauses) + ".", 25, count_thirds)
    assert [segment.text.count("mat") for segment in segments] == [2, 2, 2]
    assert all(segment.text[-1] in ",." for segment in segments)
    words = split_line("word " * 100, 50, count_thirds)
    assert {segment.text for segment in words} <= {" ".join(["word"] * n) for n in range(12, 26)}


def test_cut_does_not_split_a_visible_character() -> None:
    characters = ["e\u0301", "नु", "👩\u200d👩\u200d👧", "👍\U0001f3fd", "❤\ufe0f", "漢"] * 20
    line = "".join(characters)
    segments = split_line(line, 7, count_thirds)
    assert spelled(segments) == line
    starts = {len("".join(characters[:i])) for i in range(len(characters))}
    position = 0
    for segment in segments:
        assert position in starts
        position += len(segment.text)
    assert join(segments, ["x"] * len(segments)).replace(" ", "") == "x" * len(segments)


def test_sentencepiece_vocabulary_can_count_pieces() -> None:
    lines = [sentence for sentences in SENTENCES.values() for sentence in sentences]
    vocab = train_vocab(lambda: lines, VocabSettings(size=400), seed=1, log=print)
    for line in " ".join(lines), "".join(UNSPACED) * 9, "Donaudampfschifffahrt" * 40, "﷽" * 30:
        segments = split_line(line, 24, lambda texts: [len(ids) for ids in vocab.encode(texts)])
        assert spelled(segments) == line
        assert all(
            len(ids) <= 24 or len(segment.text) == 1
            for ids, segment in zip(vocab.encode([segment.text for segment in segments]), segments, strict=True)
        )


@pytest.mark.parametrize(
    "unit", ["The cat sat. ", "word ", "x", " ", ".", '."', ". ", "漢", "。", "\u0301", "e\u0301", "\u200d", ",", ",a "]
)
def test_line_of_300_000_characters_takes_seconds(unit: str) -> None:
    counted = 0

    def count(texts: Sequence[str]) -> list[int]:
        nonlocal counted
        counted += sum(map(len, texts))
        assert max(map(len, texts)) <= 2 * max_countable(256)
        return count_thirds(texts)

    line = "a" + unit * (300_000 // len(unit)) + "a"
    started = time.process_time()
    segments = split_line(line, 256, count)
    assert time.process_time() - started < 3
    assert spelled(segments) == line
    assert counted < 4 * len(line)
