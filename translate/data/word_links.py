"""Word alignments given with the training text, which guide attention: a file of links -> links between pieces.

Line n of the file belongs to pair n of the text. A link `i-j` joins source word i and target word j, both from 0; words
are what spaces separate. All links of a word are links of all its pieces.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from translate.data.parallel_text import Pair, ParallelText, count_lines, read_lines
from translate.data.pieces import WORD_START
from translate.data.vocab import Vocab, VocabPair
from translate.errors import UserError

LINK = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")


class Link(NamedTuple):
    """Two words, or two pieces, that translate each other; from 0."""

    src: int
    tgt: int

    @property
    def reversed(self) -> Link:
        """The same between the sides the other way round."""
        return Link(self.tgt, self.src)


class LinkedPair(NamedTuple):
    """A pair of the text with the links between its words."""

    pair: Pair
    links: tuple[Link, ...]
    line: int  # of the text, from 1


def linked_pairs(text: ParallelText) -> Iterator[LinkedPair]:
    """Every pair of the text that is kept, with its links; without any where the text has no alignment.

    Raises UserError where a line is not one of links, or a word is not there.
    """
    if text.alignment is None:
        yield from (LinkedPair(pair, (), number) for number, pair in text.numbered())
        return
    lines = enumerate(read_lines(text.alignment), start=1)
    for number, pair in text.numbered():
        _, line = next(numbered for numbered in lines if numbered[0] == number)
        # The file is read, and what is wrong in it told, in its own direction.
        links = _parse(line, Pair(*pair[::-1]) if text.is_reversed else pair, text.alignment, number)
        yield LinkedPair(pair, tuple(link.reversed for link in links) if text.is_reversed else links, number)


def check_alignment(text: ParallelText) -> None:
    """Read a text and its alignment to the end. Raises UserError where they do not fit each other."""
    if text.alignment is None:
        return
    num_lines, num_pairs = count_lines(text.alignment), count_lines(text.src.path)
    if num_lines != num_pairs:
        raise UserError(
            f"{text.alignment} has {num_lines} lines but {text.src.path} has {num_pairs}; "
            "an alignment has a line for each pair of the text, an empty one where no words are linked"
        )
    for _ in linked_pairs(text):
        pass


def piece_links(
    linked: Sequence[LinkedPair], src_ids: Sequence[list[int]], tgt_ids: Sequence[list[int]], vocabs: VocabPair
) -> list[list[int] | None]:
    """The links between the pieces of each pair; None where it is not clear which pieces are a linked word's.

    Each is a row of numbers: target piece and source piece of the first link, of the second, and so on.
    """
    src_words = _pieces_of_words(vocabs.src, [each.pair.src for each in linked], src_ids)
    tgt_words = _pieces_of_words(vocabs.tgt, [each.pair.tgt for each in linked], tgt_ids)
    rows: list[list[int] | None] = []
    for each, src, tgt in zip(linked, src_words, tgt_words, strict=True):
        links = sorted(set(each.links))
        is_clear = all(i < len(src) and j < len(tgt) for i, j in links)
        rows.append([piece for i, j in links for t in tgt[j] for s in src[i] for piece in (t, s)] if is_clear else None)
    return rows


def _parse(line: str, pair: Pair, path: Path, number: int) -> tuple[Link, ...]:
    links = []
    for text in line.split():
        match = LINK.fullmatch(text)
        if not match:
            raise UserError(
                f"{path}: line {number}: {text!r} is not a link; "
                "a link is SOURCE-TARGET, two numbers of words from 0, such as 0-0 1-2"
            )
        link = Link(int(match[1]), int(match[2]))
        for name, word, side in zip(("source", "target"), link, pair, strict=True):
            # The larger of two counts: an aligner may take other white space for spaces.
            if word >= (num_words := max(len(_words(side)), len(side.split()))):
                raise UserError(
                    f"{path}: line {number}: {text} is of {name} word {word}, but that line has {num_words} words, "
                    "counted from 0; is it the alignment of this text, source first?"
                )
        links.append(link)
    return tuple(links)


def _words(text: str) -> list[str]:
    return [word for word in text.split(" ") if word]


def _pieces_of_words(vocab: Vocab, texts: Sequence[str], ids: Sequence[list[int]]) -> list[list[range]]:
    """Which pieces of each text are those of each of its words; of no word where that is not clear.

    Normalization can make of one word several or none: of one with a no-break space, of a zero-width character. What
    an aligner counted is then anyone's guess. So a text counts only if each word by itself is one word in pieces, and
    the pieces of the text spell these words, each its own, though they may be cut elsewhere.
    """
    words = [_words(text) for text in texts]
    pieces = iter(vocab.encode(list(itertools.chain.from_iterable(words))))
    places: list[list[range]] = []
    for text_words, text_ids in zip(words, ids, strict=True):
        own = [vocab.pieces(word) for word in itertools.islice(pieces, len(text_words))]
        spelled = ["".join(word) for word in own]
        places.append(_pieces_of_spelled(spelled, vocab.pieces(text_ids)) if all(map(_is_word, own)) else [])
    return places


def _pieces_of_spelled(words: Sequence[str], pieces: Sequence[str]) -> list[range]:
    """Which pieces are those of each word; none where they spell something else, or one belongs to two words."""
    if "".join(words) != "".join(pieces):
        return []
    num_pieces = {end: count for count, end in enumerate(itertools.accumulate(map(len, pieces), initial=0))}
    ends = [num_pieces.get(end) for end in itertools.accumulate(map(len, words), initial=0)]
    clear = [end for end in ends if end is not None]
    return list(itertools.starmap(range, itertools.pairwise(clear))) if len(clear) == len(ends) else []


def _is_word(pieces: Sequence[str]) -> bool:
    """Whether they are the pieces of one word: the first starts one, no other does."""
    return [place for place, piece in enumerate(pieces) if piece.startswith(WORD_START)] == [0]
