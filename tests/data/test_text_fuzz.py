"""Property tests: arbitrary text passes through every processing step, and simple formulas give the result."""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.helpers.pages import sentence
from translate.attention.maps import AttentionMaps, Stack
from translate.check.check import Texts, check
from translate.commands.decode_io import formatted
from translate.config.settings import Config, DecodeSettings, VocabSettings
from translate.data.bpe_dropout import MergeDropout
from translate.data.line_faults import CONTROL, DAMAGED, LINE_BREAKS
from translate.data.parallel_text import Pair, ParallelText
from translate.data.readers.lines import read_lines
from translate.data.readers.sides import Side
from translate.data.vocab import Vocab, VocabPair, train_vocab
from translate.data.word_links import LinkedPair, WordLink, piece_links
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import Candidate, DecodeRequest, Translation
from translate.report.page.frame import InitialView
from translate.report.page.writer import MapVersion, PageSentence, write_page

NASTY = [
    *("</s>", "<s>", "<unk>", "<pad>", "▁", "▁▁", "<0xE2>", "<0x0A>", "<script>", "</script >", "</SCRIPT", "<!--"),
    *("-->", "]]>", "&lt;", "&#0;", '"', "\\", "\\n", "\\u003c", "${title}", "<!-- sentences -->", "%s", "{}"),
    *("\u2028", "\u2029", "\x85", "\r", "\r\r", "\ufeff", "\ufffd", "\ufffe", "\uffff", "\x00", "\x1b[2J", "\x0b\x0c"),
    *("\u200d", "\u200b", "\u200f", "\u202e", "\u2066", "\u00ad", "e\u0301", "\u0301" * 30, "👩\u200d👩\u200d👧", "🇫🇷"),
    *("\U0010ffff", "𝔘", "ﷺ", "ﬁ", "Å", "각", "日本語", "שלום", "١٢", "ß", "İ", "ı", "\u1e9b\u0323", "\u3000"),
    *(" ", "  ", "\t", "\u00a0", "\u2003", "The cat", "apples.", "les pommes", "0-0", "1\t2"),
    *("x" * 5000, "\u0301" * 5000, "😀" * 1000, " " * 5000),
]
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\n")
LINES = st.text(CHARACTERS, max_size=40) | st.lists(st.sampled_from(NASTY) | CHARACTERS, max_size=8).map("".join)
SHORT_LINES = LINES.filter(lambda line: len(line) <= 100)
TRAINING = ["The cat sat on the mat.", "I love apples.", "Les chats aiment les pommes."] * 30


def vocab_of(**values: object) -> Vocab:
    return train_vocab(lambda: TRAINING, VocabSettings(**{"size": 330, **values}), seed=1, log=lambda _: None)


IDENTITY, NORMALIZING = vocab_of(normalization="identity"), vocab_of(normalization="nmt_nfkc")
DEFAULT = vocab_of()
UNIGRAM = vocab_of(normalization="identity", algorithm="unigram", size=310)


def unspaced(text: str) -> str:
    """What `Vocab` preserves of a text without normalization: single spaces, and none at the ends.

    sentencepiece encodes a space as U+2581, which is therefore decoded as a space, as is a carriage return.
    """
    return re.sub(" +", " ", text).strip(" ▁").replace("▁", " ").replace("\r", " ")


@given(st.lists(LINES, max_size=6), st.booleans())
@example(["\ufeff", "\ufeffa"], False)
@example(["a\r\r", "\r", "\u2028\x85"], True)
def test_lines_of_a_file_are_those_between_line_feeds(lines: list[str], has_end: bool) -> None:
    content = "".join(f"{line}\n" for line in lines)
    if lines and lines[-1] and not has_end:
        content = content[:-1]
    expected = [line.removesuffix("\r") for line in lines]
    if lines:
        expected[0] = lines[0].removeprefix("\ufeff").removesuffix("\r")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text"
        path.write_bytes(content.encode())
        assert list(read_lines(path)) == expected


@pytest.mark.parametrize("vocab", [IDENTITY, UNIGRAM], ids=["bpe", "unigram"])
@given(LINES)
@example("▁ ▁a ▁ b")
@example(" ▁0▁")
def test_without_normalization_text_round_trips_except_for_spaces(vocab: Vocab, text: str) -> None:
    ids = vocab.encode([text])[0]
    assert not {vocab.unk_id, vocab.bos_id, vocab.eos_id} & set(ids)
    assert vocab.decode(ids) == unspaced(text)


@given(LINES)
@example("می\u200cخرم، ，？ น้ำ … ² № 12½ cups क़ ｶﾞ \u200b\u200f\ufeff\ufffd\x00")
def test_default_normalization_changes_only_spaces_and_uncomposed_characters(text: str) -> None:
    """Composition is Unicode's, but the order of other marks and single characters stay as they are."""
    back = DEFAULT.decode(DEFAULT.encode([text])[0])
    one, other = (" ".join(unicodedata.normalize("NFC", each.replace("▁", " ")).split()) for each in (text, back))
    assert one == other
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        spaced = re.sub("[\t-\r\x85\u2028\u2029]", " ", text)
        assert back == unspaced("".join(" " if unicodedata.category(each) == "Zs" else each for each in spaced))


@given(LINES)
def test_with_normalization_the_normalized_text_round_trips(text: str) -> None:
    normalizer = sentencepiece.SentencePieceNormalizer(
        rule_name="nmt_nfkc", add_dummy_prefix=False, escape_whitespaces=False, remove_extra_whitespaces=True
    )
    back = NORMALIZING.decode(NORMALIZING.encode([text])[0])
    assert back == unspaced(normalizer.normalize(text))
    assert NORMALIZING.decode(NORMALIZING.encode([back])[0]) == unspaced(back)


@given(st.lists(LINES, min_size=1, max_size=4), st.sampled_from([0.1, 0.5, 0.9]), st.integers(0, 2**32))
def test_pieces_sampled_by_bpe_dropout_spell_the_same_text(texts: list[str], dropout: float, seed: int) -> None:
    rows = IDENTITY.encode(texts)
    for row, drawn in zip(rows, MergeDropout(IDENTITY, dropout).draw(rows, seed), strict=True):
        assert IDENTITY.decode(drawn) == IDENTITY.decode(row)
        assert not {IDENTITY.unk_id, IDENTITY.bos_id, IDENTITY.eos_id} & set(drawn)


def translation_of(number: int, source: str, texts: list[str]) -> Translation:
    """A translation as if the model had generated the pieces of these texts."""
    rows = IDENTITY.encode(texts)
    found = [Candidate(IDENTITY.decode(row), -1.25, tuple(IDENTITY.pieces(row))) for row in rows]
    return Translation(number, source, tuple(found), (), ())


@given(LINES, st.lists(LINES, min_size=1, max_size=3))
def test_a_line_is_one_row_in_text_and_json_and_n_rows_in_n_best_output(source: str, texts: list[str]) -> None:
    translation = translation_of(7, source, texts)
    assert not {"\n", "\r"} & set(formatted(translation, DecodeRequest()))
    told = formatted(translation, DecodeRequest(details=True))
    assert "\n" not in told
    values = json.loads(told)
    assert values["source"] == source
    assert [each["text"] for each in values["translations"]] == [unspaced(text) for text in texts]
    if len(texts) > 1:
        rows = formatted(translation, DecodeRequest(num_best=len(texts))).split("\n")
        assert [row.split("\t") for row in rows] == [
            ["7", "-1.2500", unspaced(text).replace("\t", " ")] for text in texts
        ]


@settings(max_examples=settings().max_examples // 6)
@given(st.lists(LINES, min_size=1, max_size=5))
def test_a_model_translates_each_line_into_one_line(translator: LineTranslator, lines: list[str]) -> None:
    search = DecodeSettings(beam_size=2, max_length=6)
    found = list(translator.translations(lines, search, DecodeRequest(num_best=2, details=True)))
    assert [each.source for each in found] == lines
    for each in found:
        assert not {"\n", "\r"} & set(each.text)
        assert json.loads(formatted(each, DecodeRequest(details=True)))["source"] == each.source


def maps_of_text(source: str, target: str, seed: int) -> AttentionMaps:
    """Random encoder-decoder attention over the pieces of two texts."""
    src, tgt = ((*IDENTITY.pieces(row[:40]), "</s>") for row in IDENTITY.encode([source, target]))
    weights = np.random.default_rng(seed).random((1, 2, len(tgt), len(src)), dtype=np.float32)
    return AttentionMaps(src, tgt, {"cross": Stack(weights / weights.sum(-1, keepdims=True), (0,))})


@given(LINES, LINES)
def test_maps_with_any_pieces_round_trip_through_a_file(source: str, target: str) -> None:
    maps = maps_of_text(source, target, 1)
    with tempfile.TemporaryDirectory() as folder:
        maps.save(Path(folder) / "1.npz", "float32")
        back = AttentionMaps.load(Path(folder) / "1.npz")
    assert (back.source, back.target) == (maps.source, maps.target)
    assert np.array_equal(back.cross, maps.cross)


class Page(HTMLParser):
    """The elements with their attributes, and the contents of the title and the data scripts."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, list[Any]]] = []
        self.comments: list[str] = []
        self.data: dict[int, str] = {}  # by the number of elements so far, while one of them is open
        self.is_open = False
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
        self.elements.append((tag, attrs))
        self.is_open = True

    def handle_endtag(self, tag: str) -> None:
        self.is_open = False

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        if self.is_open:
            self.data[len(self.elements)] = self.data.get(len(self.elements), "") + data

    def inside(self, tag: str, attribute: tuple[str, str] | None = None) -> list[str]:
        return [
            self.data.get(place, "")
            for place, (name, attributes) in enumerate(self.elements, start=1)
            if name == tag and (attribute is None or attribute in attributes)
        ]


def page_of(title: str, sentences: list[PageSentence]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        write_page(path, title, sentences, InitialView(), None)
        return path.read_bytes().decode("utf-8")


@settings(max_examples=settings().max_examples // 4)
@given(LINES, LINES, LINES)
def test_text_neither_adds_elements_to_the_page_nor_escapes_its_place(title: str, src: str, tgt: str) -> None:
    maps = maps_of_text(src, tgt, 2)
    hostile = PageSentence(1, src, tgt, -1.0, (title,), (MapVersion(title, maps),))
    harmless = sentence(1, maps_of_text("a", "b", 2))
    page, expected = Page(page_of(title, [hostile])), Page(page_of("title", [harmless]))
    assert page.elements == expected.elements
    assert page.comments == expected.comments
    assert page.inside("title")[0] == title
    data = ("type", "application/json")
    blocks = page.inside("script", data)
    assert not any("<" in block for block in blocks), "a script element may end or change its state only at <"
    read = [json.loads(block) for block in blocks]
    of_sentence = next(block for block in read if "translation" in block)
    assert (of_sentence["source"], of_sentence["translation"], of_sentence["warnings"]) == (src, tgt, [title])
    (version,) = next(block for block in read if "versions" in block)["versions"]
    assert (version["label"], tuple(version["source"]), tuple(version["target"])) == (title, maps.source, maps.target)


@given(LINES, LINES)
def test_word_links_become_links_between_the_pieces_of_the_words_or_none(src: str, tgt: str) -> None:
    words = [[word for word in text.split(" ") if word] for text in (src, tgt)]
    links = tuple(WordLink(i, i) for i in range(min(map(len, words))))
    src_ids, tgt_ids = NORMALIZING.encode([src, tgt])
    assume(len(src_ids) * len(tgt_ids) < 10**6)  # longer pairs never come here: data.max_pieces leaves them out
    (row,) = piece_links(
        [LinkedPair(Pair(src, tgt), links, 1)], [src_ids], [tgt_ids], VocabPair(NORMALIZING, NORMALIZING)
    )
    if row is None:
        return
    pairs = list(zip(row[::2], row[1::2], strict=True))
    for link in links:
        spelled = [NORMALIZING.encode([words[side][link[side]]])[0] for side in (0, 1)]
        assert all(spelled)
    assert bool(pairs) == bool(links)
    assert all(t < len(tgt_ids) and s < len(src_ids) for t, s in pairs)
    assert len(set(pairs)) == len(pairs)


def count_findings(pairs: list[tuple[str, str]], num_src: int, num_tgt: int) -> Counter[str]:
    """Expected findings that depend only on a line and earlier lines, computed from their definitions."""
    found: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    found["line_counts"] = abs(num_src - num_tgt)
    signs = {"control": CONTROL, "line_breaks": LINE_BREAKS, "damaged": DAMAGED}
    for src, tgt in pairs:
        stripped = src.strip(), tgt.strip()
        if not all(stripped):
            found["empty_both" if not any(stripped) else "empty_target" if stripped[0] else "empty_source"] += 1
            continue
        found["identical"] += stripped[0] == stripped[1]
        found["duplicates"] += stripped in seen
        seen.add(stripped)
        for name, codes in signs.items():
            found[name] += any(ord(character) in codes for character in src + tgt)
    return +found


@settings(max_examples=settings().max_examples // 4)
@given(
    st.lists(st.tuples(LINES, LINES) | LINES.map(lambda line: (line, line)), min_size=1, max_size=8), st.integers(0, 2)
)
def test_check_counts_match_a_simple_count(pairs: list[tuple[str, str]], num_more: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sides = []
        for side, more in (0, 0), (1, num_more):
            path = Path(folder) / f"{side}"
            path.write_bytes(
                "".join(f"{line}\n" for line in [*(pair[side] for pair in pairs), *["more"] * more]).encode()
            )
            sides.append(Side(path, side + 1))
        report = check(Texts(ParallelText(*sides)), Config(), None, 2, lambda _: None)
        read = [[*read_lines(side.path)] for side in sides]
    found = {each.name: each.count for each in report.findings}
    expected = count_findings(list(zip(*read, strict=False)), len(pairs), len(pairs) + num_more)
    ends = [
        sum(pair[side].removeprefix("\ufeff" if not row else "").endswith("\r") for row, pair in enumerate(pairs))
        for side in (0, 1)
    ]
    names = {"line_counts", "empty_source", "empty_target", "empty_both", "identical", "duplicates"}
    names |= {"control", "line_breaks", "damaged"}
    assert {name: count for name, count in found.items() if name in names} == expected
    assert found.get("bom", 0) == any(side.startswith("\ufeff") for side in pairs[0])
    assert max(ends) <= found.get("crlf", 0) <= sum(ends)
    assert report.num_lines == (len(pairs), len(pairs) + num_more)
