"""Word alignments for guided attention: links between words are converted to links between pieces.

Line n of the alignment file belongs to pair n of the text. A link `i-j` connects source word i and target word j, both
counted from 0. Words are separated by spaces. Each piece of a word is linked to every piece of the linked word.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from translate.data.parallel_text import Pair, ParallelText
from translate.data.pharaoh import SURE, parse_links
from translate.data.pieces import WORD_START
from translate.data.readers.lines import count_lines, read_lines
from translate.data.vocab import Vocab, VocabPair
from translate.errors import UserError


class WordLink(NamedTuple):
    """The indices (from 0) of a source word and a target word that are translations of each other."""

    src: int
    tgt: int


class LinkedPair(NamedTuple):
    """A pair of lines with the links between their words."""

    pair: Pair
    links: tuple[WordLink, ...]
    line: int  # line number in the text, from 1


def linked_pairs(text: ParallelText) -> Iterator[LinkedPair]:
    """Yield every pair with its links. Raises UserError if a line cannot be read or a linked word does not exist."""
    if text.alignment is None:
        yield from (LinkedPair(pair, (), number) for number, pair in text.numbered())
        return
    lines = enumerate(read_lines(text.alignment), start=1)
    for number, pair in text.numbered():
        line = next(line for line_number, line in lines if line_number == number)
        # Parse the file and report its errors in its original direction.
        links = _parse(line, Pair(*pair[::-1]) if text.is_reversed else pair, text.alignment, number)
        yield LinkedPair(pair, tuple(WordLink(*link[::-1]) for link in links) if text.is_reversed else links, number)


def check_alignment(text: ParallelText) -> None:
    """Read a text and its alignment completely. Raises UserError if they do not match."""
    if text.alignment is None:
        return
    num_lines, num_pairs = count_lines(text.alignment), sum(1 for _ in text)
    if num_lines != num_pairs:
        raise UserError(
            f"{text.alignment} has {num_lines} lines but {text.src.name} has {num_pairs}; "
            "an alignment has one line per pair, even if no words are linked"
        )
    deque(linked_pairs(text), maxlen=0)


def piece_links(
    linked: Sequence[LinkedPair], src_ids: Sequence[list[int]], tgt_ids: Sequence[list[int]], vocabs: VocabPair
) -> list[list[int] | None]:
    """Return the links between the pieces of each pair, or None if the pieces of a linked word are ambiguous.

    Each row is a flat list with two numbers per link: the target piece index, followed by the source piece index.
    """
    src_words = _pieces_of_words(vocabs.src, [each.pair.src for each in linked], src_ids)
    tgt_words = _pieces_of_words(vocabs.tgt, [each.pair.tgt for each in linked], tgt_ids)
    rows: list[list[int] | None] = []
    for each, src, tgt in zip(linked, src_words, tgt_words, strict=True):
        links = sorted(set(each.links))
        is_clear = all(i < len(src) and j < len(tgt) for i, j in links)
        rows.append([piece for i, j in links for t in tgt[j] for s in src[i] for piece in (t, s)] if is_clear else None)
    return rows


def _parse(line: str, pair: Pair, path: Path, number: int) -> tuple[WordLink, ...]:
    links = parse_links(line, f"{path}: line {number}", SURE)
    # Use the larger of two counts because an aligner may also split words at other whitespace.
    num_words = [max(len(_words(side)), len(side.split())) for side in pair] if links else []
    for link in links:
        for name, word, count in zip(("source", "target"), (link.source, link.target), num_words, strict=True):
            if word >= count:
                raise UserError(
                    f"{path}: line {number}: {link.text} refers to {name} word {word}, but the {name} has words 0 to "
                    f"{count - 1}; check that the file belongs to this text and that links are in source-target order"
                )
    return tuple(WordLink(link.source, link.target) for link in links)


def _words(text: str) -> list[str]:
    return [word for word in text.split(" ") if word]


def _pieces_of_words(vocab: Vocab, texts: Sequence[str], ids: Sequence[list[int]]) -> list[list[range]]:
    """Return the pieces of each word in each text, or an empty list for a text in which they are ambiguous.

    Normalization can split or remove words: no-break spaces separate words, and zero-width characters are removed. The
    aligner may have counted such words differently. A text is therefore used only if each of its words is still one
    word when encoded separately and no piece of the text crosses a word boundary.
    """
    words = [_words(text) for text in texts]
    encoded = iter(vocab.encode(list(itertools.chain.from_iterable(words))))
    return [
        _match([vocab.pieces(word) for word in itertools.islice(encoded, len(text_words))], vocab.pieces(text_ids))
        for text_words, text_ids in zip(words, ids, strict=True)
    ]


def _match(words: Sequence[Sequence[str]], pieces: Sequence[str]) -> list[range]:
    """Return the pieces of each separately encoded word, or an empty list if they are ambiguous."""
    if not all([index for index, piece in enumerate(word) if piece.startswith(WORD_START)] == [0] for word in words):
        return []
    spelled = ["".join(word) for word in words]
    num_pieces = {end: count for count, end in enumerate(itertools.accumulate(map(len, pieces), initial=0))}
    ends = list(itertools.accumulate(map(len, spelled), initial=0))
    if "".join(spelled) != "".join(pieces) or not num_pieces.keys() >= set(ends):
        return []
    return [range(num_pieces[start], num_pieces[end]) for start, end in itertools.pairwise(ends)]
