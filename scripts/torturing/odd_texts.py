"""Files that no one should have, and that everyone has: odd texts and odd settings, by chance but repeatable."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable

LINE_ENDS = (b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\xe2\x80\xa8", b"\xc2\x85", b"\x0c", b"\n\n", b"")
TEXT = "I love apples . Die Straße naïve кот 我们 हिन्दी עברית ไทย 1,000 http://a.b/c?d=e"
MARKS = "</s> <s> <unk> <pad> <0x0A> ▁ ▁▁ '\"<script>alert(1)</script>&amp; \\n%s{}$() ﷺ e\u0301 Z\u0351\u036b\u0343"
CONTROLS = "\0 \u0001 \u0007 \u001b[2J \u007f \u0085 \t \ufeff \ufffe \uffff \u200b \u200d \u2028 \u2029 \u202e \u2066"
SPACES = ("\u00a0", "\u3000", "  ", "\u2069")
EMOJI = (
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "\U0001f1eb\U0001f1f7",
    "\U0001f3f4\U000e0067\U000e007f",
    "\U0001f600\ufe0f",
    "\U0010ffff",
)
WORDS = tuple(TEXT.split(" "))
SIGNS = (*MARKS.split(" "), *CONTROLS.split(" "), *SPACES, *EMOJI)
NOT_UTF8 = (
    *(b"\xff", b"\xfe\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc0\x80", b"\xf5\x80\x80\x80"),
    *(b"\xed\xa0\x80", b"\xed\xbf\xbf"),  # halves of surrogate pairs
)
SETTINGS = """
    vocab.size vocab.model vocab.joint vocab.algorithm vocab.character_coverage vocab.normalization
    model.d_model model.d_ff model.num_heads model.num_encoder_layers model.dropout model.norm
    train.seed train.batch_tokens train.accumulate train.learning_rate train.warmup_steps train.schedule
    train.ema_decay train.clip_norm train.max_minutes train.label_smoothing train.precision train.best_by
    data.train_src data.valid_src data.valid_pairs data.max_pieces data.src_column data.train_align
    decode.beam_size decode.batch_tokens decode.max_length_ratio decode.top_p decode.temperature
    modle.d_model train x train.learning_rat decode.beam-size . train..seed __class__.x
"""
NUMBERS = "0 1 2 3 -1 0.5 1e-9 1e400 nan inf -0.0 0x10 1_0 2147483647 2147483648 true [] {} 1979-05-27 None"
KEYS = tuple(SETTINGS.split())
VALUES = (
    *NUMBERS.split(),
    *("9" * 5000, '"true"', '"auto"', '""', '"\\u0000"', '"../../x"', '"/dev/null"', '"cosine"', '"unigram"', '"nfkc"'),
    *('"a\\nb"', "[1, 2]", "{a = 1}", "'''x'''", "[" * 2000, "{a=" * 300, "", '"' + "x" * 100_000 + '"'),
)


def odd_text(rng: random.Random) -> bytes:
    """Up to some hundred kilobytes that are more or less text."""
    return rng.choice(TEXTS)(rng)


def odd_settings(rng: random.Random) -> bytes:
    """What might be a TOML file of settings."""
    if rng.random() < 0.15:
        return odd_text(rng)
    lines = [f"{rng.choice(KEYS)} = {rng.choice(VALUES)}" for _ in range(rng.randint(1, 3))]
    for _ in range(rng.randrange(3)):
        section, _, key = rng.choice(KEYS).partition(".")
        lines += [f"[{section}]", f"{key} = {rng.choice(VALUES)}"]
    content = "\n".join(lines).encode()
    return content if rng.random() < 0.9 else content[: rng.randrange(len(content) + 1)]


def odd_overrides(rng: random.Random) -> list[str]:
    """Arguments for --set."""
    return [f"{rng.choice(KEYS)}={rng.choice(VALUES)[:1000]}" for _ in range(rng.randint(1, 2))]


def odd_table(rng: random.Random, num_lines: int) -> bytes:
    """Columns between tabs: as many as there should be, or not."""

    def row() -> str:
        num_columns = rng.choice((2, 2, 2, 2, 2, 2, 2, 1, 3, 0))
        return "\t".join(_phrase(rng).replace("\t", " ") for _ in range(num_columns))

    return "".join(f"{row()}\n" for _ in range(num_lines)).encode()


def odd_archive(rng: random.Random, content: bytes) -> bytes:
    """The content packed: whole, cut off, damaged, or not packed at all."""
    packed = gzip.compress(content, mtime=0)
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: packed,
        lambda: packed[: rng.randrange(len(packed))],
        lambda: packed + rng.randbytes(20),
        lambda: packed + packed,
        lambda: bytes([packed[0], packed[1] ^ 1]) + packed[2:],
        lambda: packed[:-8] + rng.randbytes(8),
        lambda: content,
        lambda: b"",
        lambda: gzip.compress(bytes(30_000_000), mtime=0),  # a line of thirty million NULs in thirty kilobytes
    )
    return rng.choice(ways)()


def _phrase(rng: random.Random) -> str:
    signs = rng.choice((WORDS, WORDS, SIGNS, WORDS + SIGNS))
    return rng.choice((" ", " ", "")).join(rng.choice(signs) for _ in range(rng.randrange(12)))


def _lines(rng: random.Random) -> bytes:
    """Lines of odd signs that end oddly."""
    end = rng.choice(LINE_ENDS)
    ends = LINE_ENDS if rng.random() < 0.3 else (end,)
    return b"".join(_phrase(rng).encode() + rng.choice(ends) for _ in range(rng.randint(0, 30)))


def _broken_lines(rng: random.Random) -> bytes:
    """The same, with bytes that are not UTF-8."""
    content = _lines(rng)
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.choice(NOT_UTF8) + content[at:]


def _noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice((1, 10, 1000, 50_000)))


def _signed_lines(rng: random.Random) -> bytes:
    """A byte-order mark of some encoding before text of some encoding."""
    encoding = rng.choice(("utf-8-sig", "utf-16", "utf-32", "utf-16-le"))
    return _lines(rng).decode().encode(encoding)


def _long_word(rng: random.Random) -> bytes:
    return (
        rng.choice(("a", "я", "界", "\U0001f600", "a\u0301", "</s>")).encode() * rng.choice((300, 3000, 10_000)) + b"\n"
    )


def _long_line(rng: random.Random) -> bytes:
    return b" ".join(rng.choice(WORDS).encode() for _ in range(rng.choice((300, 3000, 6000)))) + b"\n"


def _tower(rng: random.Random) -> bytes:
    """Combining marks on one letter."""
    marks = (chr(rng.randrange(0x300, 0x370)) for _ in range(rng.choice((10, 1000, 10_000))))
    return ("Z" + "".join(marks) + " x\n").encode()


def _empty(rng: random.Random) -> bytes:
    return rng.choice(
        (b"", b"\n", b"\n" * 50, b" \n" * 5, b"\t\n\t\n", b"\r\n" * 5, b"\xef\xbb\xbf", b"\xef\xbb\xbf\n", b"\0" * 100)
    )


def _one_sign_a_line(rng: random.Random) -> bytes:
    return b"".join(sign.encode() + b"\n" for sign in rng.sample(SIGNS, 20))


def _any_unicode(rng: random.Random) -> bytes:
    """Any characters at all that UTF-8 can hold."""
    numbers = [rng.randrange(rng.choice((0x80, 0x10000, 0x110000))) for _ in range(200)]
    return "".join(chr(number) for number in numbers if not 0xD800 <= number < 0xE000).encode()


TEXTS: tuple[Callable[[random.Random], bytes], ...] = (
    *(_lines, _lines, _lines, _broken_lines, _noise, _signed_lines, _long_word, _long_line),
    *(_tower, _empty, _one_sign_a_line, _any_unicode, _any_unicode),
)
