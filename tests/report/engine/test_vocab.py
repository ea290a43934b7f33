"""The vocabularies of the page's engine, compared with sentencepiece itself."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
import sentencepiece

from tests.helpers.corpora import TOY
from tests.helpers.engine import run_engine
from translate.config.settings import VocabSettings
from translate.data.readers.lines import read_lines
from translate.data.vocab import Vocab, train_vocab

SCRIPT = """
return input.map(({ proto, texts, rows }) => {
  const vocab = new Vocab(Uint8Array.from(atob(proto), (character) => character.charCodeAt(0)));
  const ids = texts.map((text) => vocab.encode(text));
  return {
    ids, texts: rows.map((row) => vocab.decode(row)), unknown: texts.map((text, i) => vocab.unknown(ids[i], text)),
    labels: [...vocab.labelIds], special: [vocab.size, vocab.unkId, vocab.bosId, vocab.eosId],
  };
});
"""
SPACES = "\t\n\x0b\x0c\r\x1c\x85\u00a0\u00ad\u1680\u2002\u2007\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff▁"
BLOCKS = [
    *((0x20, 0x7F), (0, 0x20), (0x7F, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xA00)),
    *((0xE00, 0xE80), (0x1100, 0x1200), (0x1E00, 0x2150), (0x2460, 0x2500), (0x3000, 0x3400), (0x4E00, 0x9FFF)),
    *((0xAC00, 0xD7A4), (0xE000, 0x10000), (0xF900, 0xFFF0), (0x1D400, 0x1D800), (0x1F000, 0x1FA00)),
    *((0x20000, 0x2FA20), (0xE0000, 0xE0200), (0x10000, 0x110000)),
]
PARTS = [
    *("<s>", "</s>", "<unk>", "<0x41>", "<b>", "a b", "▁▁", "(a)+", "ﬁ", "①", "㌔", "½", "İ", "ß", "ﷺ", "ｶﾞ", "각"),
    *("e\u0301", "o\u0323\u0302", "o\u0302\u0323", "\u0958", "\u212b", "\u1e9b\u0323", "👩🏽\u200d👧", "1\ufe0f\u20e3"),
    *("🇩🇪", "שָׁלוֹם", "\u202eabc\u202c", "中文", "ไทย", "\x00", "a\x00b", "  ", " ", "a", "Die Frau", "don't"),
]  # fmt: skip
SYMBOLS = ["<b>", "a b", "ab", "bcd", "abc", "a  b", "(a)+", "é", "▁▁", "👩", "."]


class Case(NamedTuple):
    """A vocabulary with texts to encode and ids to decode."""

    vocab: Vocab
    texts: list[str]
    rows: list[list[int]]


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Lines of the toy corpus."""
    return [line for language in ("en", "fr") for line in islice(read_lines(TOY / f"train.{language}"), 150)]


def check(vocabs: Sequence[Vocab], texts: Sequence[str], seed: int = 1) -> None:
    """Check that the engine does all that sentencepiece does with texts and with ids."""
    random = Random(seed)
    compare([Case(vocab, [*texts], [*rows_of(vocab, random), *vocab.encode(texts[:40])]) for vocab in vocabs])


def compare(cases: Sequence[Case]) -> None:
    payload = [
        {"proto": b64encode(each.vocab.proto).decode(), "texts": each.texts, "rows": each.rows} for each in cases
    ]
    for (vocab, texts, rows), found in zip(cases, run_engine(SCRIPT, payload), strict=True):
        expected = vocab.encode(texts)
        assert dict(zip(texts, found["ids"], strict=True)) == dict(zip(texts, expected, strict=True))
        assert found["unknown"] == [vocab.unknown(*each) for each in zip(expected, texts, strict=True)]
        assert [*zip(rows, found["texts"], strict=True)] == [*zip(rows, vocab.decode_rows(rows), strict=True)]
        assert dict(found["labels"]) == vocab.label_ids
        assert found["special"] == [vocab.size, vocab.unk_id, vocab.bos_id, vocab.eos_id]


def rows_of(vocab: Vocab, random: Random) -> list[list[int]]:
    """Return random ids, of which many are special pieces or begin a word."""
    special = [i for i, piece in enumerate(vocab.pieces(range(vocab.size))) if piece[0] in "<▁"]
    return [random.choices(random.choice([special, range(vocab.size)]), k=random.randrange(15)) for _ in range(120)]


def strange_texts(count: int, lines: Sequence[str]) -> list[str]:
    """Return texts of all scripts, with marks, spaces of all kinds, control characters and the remains of bytes."""
    random = Random(7)
    words = [*" ".join(lines).split(), *PARTS]

    def character() -> str:
        start, end = random.choice(BLOCKS)
        return chr(random.randrange(start, end))

    def part() -> str:
        spaces = random.choice(SPACES) * random.randint(1, 3)
        return random.choice([random.choice(words), random.choice(PARTS), " ", spaces, character()])

    texts = ["", " ", "▁", "\u3000\x01\u200b", *(f"{space}{space} a{space}{space}b {space}" for space in SPACES)]
    for _ in range(count // 4):
        texts.append("".join(character() for _ in range(random.randrange(40))))
        texts.append(random.randbytes(random.randrange(40)).decode("utf-8", "replace"))
        texts += ("".join(part() for _ in range(random.randrange(20))) for _ in range(2))
    return [text.encode("utf-8", "replace").decode() for text in texts]  # without surrogates


def trained(lines: Sequence[str], **options: Any) -> Vocab:
    """Train a vocabulary with sentencepiece's options, of which the project's own trainer has few."""
    proto = BytesIO()
    size = {"vocab_size": 150, "hard_vocab_limit": False, "character_coverage": 0.98, "minloglevel": 2}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=proto, **{**size, **options})
    return Vocab(proto.getvalue(), str(options))


@pytest.mark.parametrize("algorithm", ["bpe", "unigram", "char"])
def test_text_of_all_kinds_is_normalized_and_encoded_as_by_sentencepiece(algorithm: str, lines: list[str]) -> None:
    texts = strange_texts(400, lines)
    limits = {"character_coverage": 0.98} if algorithm == "char" else {"character_coverage": 0.98, "size": 600}
    rules = ("nfkc", True), ("nfkc", False), ("identity", False), ("nmt_nfkc_cf", False), ("nfc", True), ("nfc", False)
    settings = [
        VocabSettings.model_validate({"algorithm": algorithm, "normalization": rule, "byte_fallback": bytes_, **limits})
        for rule, bytes_ in rules
    ]
    check([train_vocab(lambda: iter([*lines, *texts[::8]]), each, 1, lambda _: None) for each in settings], texts)


def test_each_option_of_a_model_has_the_effect_that_it_has_in_sentencepiece(lines: list[str], tmp_path: Path) -> None:
    rules = tmp_path / "rules.tsv"
    rules.write_text("61\t62 20 20 63\n78 79\t\n41\t20 20 41\n2E 2E\t20\n")
    options: list[dict[str, Any]] = [
        {"treat_whitespace_as_suffix": True, "user_defined_symbols": SYMBOLS},
        {"add_dummy_prefix": False, "byte_fallback": True, "vocab_size": 400, "unk_surface": ""},
        {"remove_extra_whitespaces": False, "user_defined_symbols": SYMBOLS},
        {"add_dummy_prefix": False, "remove_extra_whitespaces": False},
        {"split_by_whitespace": False, "normalization_rule_tsv": str(rules)},
        {"denormalization_rule_tsv": str(rules), "unk_surface": "▁?"},
        {"unk_piece": "[U]", "bos_piece": "[B]", "eos_piece": "[E]", "pad_id": 3, "control_symbols": ["<2de>", "</s>"]},
        {"unk_id": 2, "bos_id": -1, "eos_id": 0, "pad_id": 1},
    ]
    texts = strange_texts(80, lines)
    text = [*lines, *texts[::4], *["a b <b> abcd a  b"] * 3]
    kinds = "bpe", "unigram", "char", "word"
    check([trained(text, model_type=kind, **each) for each in options for kind in kinds], texts)


def test_models_of_any_pieces_and_scores_are_used_as_by_sentencepiece() -> None:
    """Equal scores, pieces that are not used, pieces within pieces: more than a trainer produces."""
    compare([random_case(Random(seed)) for seed in range(150)])


def random_case(random: Random) -> Case:
    alphabet = random.choice(["ab", "abc▁", "abé😀▁", "ab▁ "])
    names = ["".join(random.choices(alphabet, k=random.randint(1, random.choice([2, 4, 7])))) for _ in range(30)]
    pieces = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3), ("q", -1.0, 1)]
    weights = random.choice([(1, 0, 0), (8, 1, 0), (6, 1, 4)])  # of pieces that are normal, user-defined and not used
    for name in dict.fromkeys([*random.choice([alphabet, ""]), *names]):
        score = random.choice([-1.0, -2.0, 0.0, -len(pieces), random.uniform(-12, 12)])
        pieces.append((name, float(score), random.choices([1, 4, 5], weights)[0]))
    encoded = b"".join(field(1, field(1, name) + field(2, score) + field(3, kind)) for name, score, kind in pieces)
    spaces = b"".join(field(number, random.randrange(2)) for number in (3, 4))
    vocab = Vocab(encoded + field(2, field(3, random.choice([1, 2, 3, 4]))) + field(3, spaces), "a random model")
    texts = ["".join(random.choices(f"{alphabet * 2} x", k=random.randrange(40))) for _ in range(25)]
    return Case(vocab, texts, rows_of(vocab, random)[:25])


def field(number: int, value: float | str | bytes) -> bytes:
    """Return a field of a message in Protocol Buffers."""
    if isinstance(value, float):
        return bytes([number << 3 | 5]) + struct.pack("<f", value)
    if isinstance(value, int):
        return bytes([number << 3, value])
    content = value.encode() if isinstance(value, str) else value
    length = bytes([len(content)]) if len(content) < 128 else bytes([len(content) & 127 | 128, len(content) >> 7])
    return bytes([number << 3 | 2]) + length + content


def test_the_toy_corpus_and_a_very_long_word_are_encoded_as_by_sentencepiece(lines: list[str]) -> None:
    vocab = Vocab.load(Path(__file__).parents[3] / "docs" / "toy-run" / "vocab.model")
    words = " ".join(lines)
    check([vocab], [*lines, words[:5000], words.replace(" ", "")[:10_000]])
