"""Vocabularies: sentencepiece models that convert text to piece ids and back."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from random import Random
from typing import NamedTuple

import sentencepiece

from translate.config.settings import VocabSettings
from translate.data.normalization import trainer_options
from translate.data.pieces import END
from translate.errors import UserError
from translate.system.files import read_regular

MAX_MODEL_BYTES = 2**30  # size limit of a model file; 16 million pieces take a third of this
MAX_TRAINING_LINES = 500_000  # longer texts are sampled; sentencepiece needs about 0.5 kB of memory per line
TOO_LARGE = re.compile(r"Vocabulary size too high \(\d+\)\. Please set it to a value <= (\d+)")
TOO_SMALL = re.compile(r"Vocabulary size is smaller than required_chars\. \d+ vs (\d+)")
MAX_CHARACTERS = 1000  # per line in vocabulary training; longer lines are split
MIN_IN_THREADS = 16  # texts to encode
Log = Callable[[str], None]  # called with one message


class Vocab:
    """A sentencepiece model. `bos_id` starts each target, and `eos_id` ends each row. Padding has no id."""

    def __init__(self, proto: bytes, name: str) -> None:
        """Load a model. proto: content of the model file. name: name for errors. Raises UserError if loading fails."""
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
        except (RuntimeError, OSError):
            raise UserError(f"{name}: not a sentencepiece model") from None
        if not proto:  # sentencepiece accepts an empty file as a model without pieces
            raise UserError(f"{name}: not a sentencepiece model; the file is empty")
        self.proto = proto
        self.size: int = self._processor.vocab_size()
        try:
            self._pieces: list[str] = [self._processor.id_to_piece(id_) for id_ in range(self.size)]
        except UnicodeDecodeError:
            raise UserError(f"{name}: damaged sentencepiece model; one of its pieces is not valid UTF-8") from None
        self.ids = {piece: id_ for id_, piece in enumerate(self._pieces)}
        self.unk_id: int = self._processor.unk_id()
        self.eos_id: int = self._processor.eos_id()
        if self.eos_id < 0:
            raise UserError(f"{name}: the sentencepiece model has no </s>; train a model with eos_id set")
        # Targets start with </s> if the model has no <s>, as in fairseq and Marian.
        self.bos_id: int = self._processor.bos_id() if self._processor.bos_id() >= 0 else self.eos_id

    @classmethod
    def load(cls, path: Path) -> Vocab:
        """Read a model file. Raises UserError if `path` is missing or is not a sentencepiece model."""
        try:
            return cls(read_regular(path, MAX_MODEL_BYTES), str(path))
        except (FileNotFoundError, IsADirectoryError):
            raise UserError(f"{path}: no such sentencepiece model") from None

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the piece ids of each text without `<s>` and `</s>`. Within a text, both are ordinary characters."""
        # For a list, sentencepiece starts threads, which on a busy machine takes longer than encoding a few texts.
        if len(texts) < MIN_IN_THREADS:
            return [self._processor.encode(text, out_type=int) for text in texts]
        ids: list[list[int]] = self._processor.encode(list(texts), out_type=int)
        return ids

    def unknown(self, ids: Sequence[int], text: str) -> list[str]:
        """Return the parts of a text that were encoded as the unknown piece."""
        pieces = self.spelled(text) if self.unk_id in ids else []
        return [piece for id_, piece in zip(ids, pieces, strict=False) if id_ == self.unk_id]

    def spelled(self, text: str) -> list[str]:
        """Return the pieces of a text as strings; the unknown piece is spelled as in the text."""
        pieces: list[str] = self._processor.encode(text, out_type=str)
        return pieces

    @property
    def has_merges(self) -> bool:
        """Whether this is a BPE model, whose scores are merge ranks. Other models have log-probabilities as scores."""
        return all(self._processor.get_score(piece).is_integer() for piece in range(self.size))

    @property
    def merge_ranks(self) -> dict[str, float]:
        """The merge rank of each piece in a BPE model; lower ranks are merged first. Special pieces have no rank."""
        model = self._processor
        special = model.is_unknown, model.is_control, model.is_byte
        scores = {id_: model.get_score(id_) for id_ in range(self.size) if not any(is_(id_) for is_ in special)}
        # User-defined symbols precede the first merge and, like it, have a score of 0.
        first = max((id_ for id_, score in scores.items() if not score), default=0)
        return {model.id_to_piece(id_): -score for id_, score in scores.items() if id_ >= first}

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text for piece ids as a single line. Line breaks from byte pieces become spaces."""
        text: str = self._processor.decode([*map(int, ids)])
        return _on_one_line(text)

    def decode_rows(self, rows: Sequence[list[int]]) -> list[str]:
        """Return the texts for several rows of piece ids, as `decode` does for one."""
        return [_on_one_line(text) for text in self._processor.decode(list(rows))]

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """Return the pieces as strings; `▁` marks the start of a word."""
        return [self._pieces[i] for i in ids]

    def labels(self, ids: Iterable[int]) -> list[str]:
        """Return the pieces as they are shown and stored: `eos_id` is `</s>`, whatever the model calls it.

        An ordinary piece of that name is followed by a space, which no piece contains.
        """
        return [self._all_labels[i] for i in ids]

    @cached_property
    def _all_labels(self) -> list[str]:
        labels = [f"{piece} " if piece == END else piece for piece in self._pieces]
        labels[self.eos_id] = END
        return labels

    @cached_property
    def label_ids(self) -> dict[str, int]:
        """The id of each label."""
        return {label: i for i, label in enumerate(self._all_labels)}


def _on_one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\r", " ")  # `str.translate` takes 50 times as long


class VocabPair(NamedTuple):
    """The source and target vocabularies, which are the same object if the vocabulary is joint."""

    src: Vocab
    tgt: Vocab

    @property
    def joint(self) -> bool:
        return self.src is self.tgt

    @property
    def fingerprint(self) -> str:
        """The combined SHA-256 of both models."""
        return fingerprint(self.src.proto, self.tgt.proto)


def fingerprint(src_proto: bytes, tgt_proto: bytes) -> str:
    """Return the combined SHA-256 of two model files."""
    return hashlib.sha256(b"".join(hashlib.sha256(proto).digest() for proto in (src_proto, tgt_proto))).hexdigest()


def train_vocab(
    lines: Callable[[], Iterable[str]], settings: VocabSettings, seed: int, log: Log, num_lines: int | None = None
) -> Vocab:
    """Train a vocabulary. If the text has more than MAX_TRAINING_LINES lines, a random sample is used.

    lines: function that returns a new iterator over the text. num_lines: number of lines; if None, they are counted.
    The vocabulary size is lowered if the text has too few distinct pieces. Rare letters get a piece each as
    `rare_letters_of` says, if there is room for them. Raises UserError if the text is empty or has more distinct
    characters than `settings.size`.
    """
    from translate.data.letters import rare_letters_of  # imported here because it imports numpy

    num_lines = sum(1 for _ in lines()) if num_lines is None else num_lines
    if num_lines > MAX_TRAINING_LINES:
        log(f"the vocabulary will be trained on {MAX_TRAINING_LINES:,} of {num_lines:,} lines, sampled at random")

    sample = _Lines(_sample(lines(), num_lines, seed))
    rare, size = rare_letters_of(sample, settings, settings.size), settings.size
    try:
        vocab = train_with_size(sample, settings, size, rare.required)
    except RuntimeError as error:
        if rare.required and TOO_SMALL.search(str(error)):  # without room for them
            without = settings.model_copy(update={"character_coverage": settings.coverage})
            return train_vocab(lambda: sample, without, seed, log)
        size = possible_size(error, settings)
        log(f"vocab.size lowered from {settings.size:,} to {size:,}, the maximum for this text")
        vocab = train_with_size(sample, settings, size, rare.required)
    if rare.letters:
        log(f"vocabulary: {rare}")
    return vocab


def train_with_size(lines: Iterable[str], settings: VocabSettings, size: int, letters: str = "") -> Vocab:
    """Train a vocabulary of this size. Raises RuntimeError, for `possible_size`, if the text does not allow it.

    letters: characters that get a piece each, however rare they are.
    """
    errors = list[BaseException]()
    try:
        return _train_model(_keeping_errors(_short(lines), errors), settings, size, letters)
    except RuntimeError as error:
        raise errors[0] if errors else error from None


def possible_size(error: RuntimeError, settings: VocabSettings) -> int:
    """Return the largest vocabulary size for the text. Raises UserError if training failed for another reason."""
    if match := TOO_LARGE.search(str(error)):
        return int(match[1])
    if match := TOO_SMALL.search(str(error)):
        raise UserError(
            f"vocab.size {settings.size} is less than the {match[1]} symbols and characters in the text; raise it or "
            f"lower vocab.character_coverage ({settings.coverage})"
        ) from None
    if "sentences_.empty()" in str(error):
        raise UserError("the training text has no lines suitable for training a vocabulary") from None
    raise UserError(f"sentencepiece cannot train on this text with the settings in [vocab]: {error}") from None


class _Lines:
    """Lines that are read several times, kept as UTF-8: half of the memory of a list."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._text = io.BytesIO()
        self._text.writelines(f"{line}\n".encode() for line in lines)

    def __iter__(self) -> Iterator[str]:
        self._text.seek(0)
        yield from (line.decode()[:-1] for line in self._text)


def _sample(lines: Iterable[str], num_lines: int, seed: int) -> Iterator[str]:
    """Yield at most MAX_TRAINING_LINES lines in order, as a uniform random sample (Knuth's Algorithm S)."""
    random = Random(seed)
    num_needed = min(num_lines, MAX_TRAINING_LINES)
    for num_left, line in zip(range(num_lines, 0, -1), lines, strict=True):
        if random.random() * num_left < num_needed:
            num_needed -= 1
            yield line


def _short(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines, the longest ones in parts, because sentencepiece skips lines of more than 4,192 bytes."""
    for line in lines:
        yield from (line[i : i + MAX_CHARACTERS] for i in range(0, max(len(line), 1), MAX_CHARACTERS))


def _keeping_errors(lines: Iterator[str], errors: list[BaseException]) -> Iterator[str]:
    """Yield the lines. An error is kept, because sentencepiece turns it into a RuntimeError of its own."""
    try:
        yield from lines
    except GeneratorExit:
        raise
    except BaseException as error:  # also a signal
        errors.append(error)
        raise


def _train_model(lines: Iterator[str], settings: VocabSettings, size: int, letters: str) -> Vocab:
    proto = io.BytesIO()
    with trainer_options(settings.normalization, proto) as normalization:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=lines,
            model_writer=proto,
            vocab_size=size,
            model_type=settings.algorithm,
            use_all_vocab=settings.algorithm == "char",  # do not limit the number of characters
            character_coverage=settings.coverage,
            required_chars=letters,
            byte_fallback=settings.byte_fallback,
            **normalization,
            pad_id=-1,
            unk_id=0,
            bos_id=1,
            eos_id=2,
            minloglevel=2,
        )
    return Vocab(proto.getvalue(), "the new vocabulary")
