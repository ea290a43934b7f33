"""From settings to what training reads: vocabularies, encoded corpora, validation lines. Each made once a run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from translate.check.sample_check import check_sample
from translate.config.settings import Config, DataSettings
from translate.data.encoded_corpus import CorpusOrigin, EncodedCorpus, encode, open_corpus, origin_of
from translate.data.filters import NO_FILTERS, Filters, kept_pairs
from translate.data.parallel_text import (
    Pair,
    ParallelText,
    check_stays,
    count_pairs,
    fingerprint,
    split,
    split_hash,
    text_of,
)
from translate.data.readers.sides import Side
from translate.data.resampled_corpus import ResampledCorpus
from translate.data.vocab import Vocab, VocabPair, train_vocab
from translate.data.word_links import check_alignment
from translate.errors import UserError
from translate.run.folder import Run
from translate.system.checked_json import read_record, write_record
from translate.system.distributed import World
from translate.system.files import atomic_write
from translate.system.signals import dying_of_signals

FORMAT = 1  # of texts.json


@dataclass(frozen=True)
class Prepared:
    """All that training reads."""

    vocabs: VocabPair
    train: EncodedCorpus
    valid: EncodedCorpus
    valid_pairs: list[Pair]  # the first of them, as text, to translate and compare
    drawn: ResampledCorpus | None = None  # with vocab.dropout: the training text as each epoch reads it

    def train_in(self, epoch: int, world: World) -> EncodedCorpus:
        """The training text as an epoch reads it. All processes have to call this alike."""
        return self.drawn.of_epoch(epoch, self.vocabs, world) if self.drawn else self.train


def prepare(run: Run, config: Config) -> Prepared:
    """Train or read the vocabularies, encode the corpora into the run folder, or find there what was made before.

    Raises UserError where a text is bad or empty, or is not the one with which the run began.
    """
    texts = _texts(run, config.data)
    filters = Filters.of(config.data)
    vocabs = run.load_vocabs()
    if vocabs is None:
        vocabs = _make_vocabs(run, config, texts.train)
        run.write_vocabs(vocabs)
    elif (encoded := origin_of(run.corpus_path / "train")) and encoded.vocabs != vocabs.fingerprint:
        raise UserError(
            f"{run.path / 'vocab.model'}: not the vocabulary with which this run began; restore it, or start a new run"
        )
    max_pieces = config.data.max_pieces
    is_aligned = texts.train.alignment is not None
    origin = CorpusOrigin(
        texts.record.train, str(texts.train.hashes), vocabs.fingerprint, max_pieces, is_aligned, str(filters)
    )
    train = _encoded(run, "train", texts.train, vocabs, origin, filters)
    drawn = _drawn(run, config, texts.train, origin, vocabs)
    origin = CorpusOrigin(texts.record.valid, str(texts.valid.hashes), vocabs.fingerprint, max_pieces)
    valid = _encoded(run, "valid", texts.valid, vocabs, origin)
    valid_pairs = itertools.islice((pair for pair in texts.valid if pair.is_full), config.train.validate_sentences)
    return Prepared(vocabs, train, valid, list(valid_pairs), drawn)


def prepare_together(run: Run, config: Config, world: World) -> Prepared:
    """`prepare` by the first process; the others wait, and open what it made."""
    if world.is_first:
        prepared = prepare(run, config)
        world.gather(_Told(prepared.valid_pairs, prepared.drawn))
        return prepared
    told = world.gather(_Told([], None))[0]
    vocabs = run.load_vocabs()
    train, valid = (vocabs and open_corpus(run.corpus_path / name, vocabs) for name in ("train", "valid"))
    if not (vocabs and train and valid):
        raise UserError(
            f"{run.path}: not what the first process made; several machines need the run folder at this place on a "
            "file system that they share"
        )
    return Prepared(vocabs, train, valid, told.valid_pairs, told.drawn)


class _Told(NamedTuple):
    """What the first process tells the others."""

    valid_pairs: list[Pair]
    drawn: ResampledCorpus | None


@dataclass(frozen=True)
class _Record:
    """What the texts held when the run began: resuming is exact only on the same text."""

    train: str  # fingerprint
    valid: str  # fingerprint
    split_at: int  # the hash that parts training from validation; 0 where validation has files of its own


class _Texts(NamedTuple):
    train: ParallelText
    valid: ParallelText
    record: _Record


def _texts(run: Run, data: DataSettings) -> _Texts:
    """The two texts: read through when the run begins, so that what is wrong is said at once; then only compared."""
    whole = text_of(data, data.train_src, data.train_tgt, data.train_align)
    # Of a part that is split off the run has a copy: in a long text it is not soon found.
    copy = ParallelText(Side(run.corpus_path / "valid.src.txt", 1), Side(run.corpus_path / "valid.tgt.txt", 1))
    valid = text_of(data, data.valid_src, data.valid_tgt) if data.valid_src else copy
    check_stays(whole.src.path, whole.tgt.path, valid.src.path, valid.tgt.path)
    path = run.corpus_path / "texts.json"
    if not path.exists():
        run.corpus_path.mkdir(exist_ok=True)
        check_alignment(whole)
        split_at = _read_through(whole, valid) if data.valid_src else _split_off(whole, valid, data.valid_pairs)
        for line in check_sample(whole, data):
            run.log(line)
        write_record(path, asdict(_Record(fingerprint(whole), fingerprint(valid), split_at)), FORMAT)
    record = _Record(**read_record(path, FORMAT, f"remove {run.corpus_path} to have the texts read and encoded anew"))
    if bool(record.split_at) == bool(data.valid_src):
        began = "without" if record.split_at else "with"
        raise UserError(f"{run.path}: began {began} data.valid_src; keep that to resume, or start a new run")
    for text, before in (whole, record.train), (valid, record.valid):
        if fingerprint(text) != before:
            alignment = ", or the alignment in data.train_align," if text is whole else ""
            raise UserError(
                f"{text.src.path} or {text.tgt.path}{alignment} changed since {run.path} began; "
                "restore them, or start a new run"
            )
    return _Texts(split(whole, record.split_at).train if record.split_at else whole, valid, record)


def _read_through(train: ParallelText, valid: ParallelText) -> int:
    for text in train, valid:
        if not count_pairs(text):
            raise UserError(_nothing_in(text))
    return 0


def _split_off(whole: ParallelText, valid: ParallelText, valid_pairs: int) -> int:
    """Write the part for validation to the files of `valid`; returns the hash that parts it from training."""
    split_at = split_hash(whole, valid_pairs)
    parts = split(whole, split_at)
    for part in parts:
        if not any(pair.is_full for pair in part):
            raise UserError(_nothing_in(part))
    with (
        atomic_write(valid.src.path) as src_path,
        atomic_write(valid.tgt.path) as tgt_path,
        src_path.open("w", encoding="utf-8", newline="\n") as src,
        tgt_path.open("w", encoding="utf-8", newline="\n") as tgt,
    ):
        for pair in parts.valid:
            src.write(f"{pair.src}\n")
            tgt.write(f"{pair.tgt}\n")
    return split_at


def _nothing_in(text: ParallelText) -> str:
    if any(pair.is_full for pair in ParallelText(text.src, text.tgt)):
        reason = "too few different lines to train on some and validate on others; give --valid-src and --valid-tgt"
    else:
        reason = "no pair of lines with text on both sides"
    return f"{text.src.path}: {reason}"


def _make_vocabs(run: Run, config: Config, text: ParallelText) -> VocabPair:
    settings, seed = config.vocab, config.train.seed
    if settings.model:
        vocab = Vocab.load(Path(settings.model))
        return VocabPair(vocab, vocab)

    def pairs() -> Iterator[Pair]:
        return kept_pairs(text, Filters.of(config.data))

    def src_lines() -> Iterator[str]:
        return (pair.src for pair in pairs())

    def tgt_lines() -> Iterator[str]:
        return (pair.tgt for pair in pairs())

    def both() -> Iterator[str]:
        return itertools.chain.from_iterable(pairs())

    run.log("training the vocabulary")
    with dying_of_signals():
        if settings.joint:
            vocab = train_vocab(both, settings, seed, run.log)
            return VocabPair(vocab, vocab)
        sides = (train_vocab(lines, settings, seed, run.log) for lines in (src_lines, tgt_lines))
        return VocabPair(*sides)


def _drawn(
    run: Run, config: Config, text: ParallelText, origin: CorpusOrigin, vocabs: VocabPair
) -> ResampledCorpus | None:
    dropout = config.vocab.dropout
    if not dropout:
        return None
    if not (vocabs.src.has_merges and vocabs.tgt.has_merges):
        raise UserError(
            f"vocab.dropout = {dropout}: leaves out merges, and {config.vocab.model} has none; "
            "set it to 0.0, or vocab.model to a sentencepiece model of type bpe"
        )
    run.log(f"{dropout:g} of the merges in the training text are left out at random in each epoch (vocab.dropout)")
    origin = replace(origin, dropout=dropout, seed=config.train.seed)
    return ResampledCorpus(run.corpus_path, run.log, text, origin, Filters.of(config.data))


def _encoded(
    run: Run, name: str, text: ParallelText, vocabs: VocabPair, origin: CorpusOrigin, filters: Filters = NO_FILTERS
) -> EncodedCorpus:
    base = run.corpus_path / name
    corpus = open_corpus(base, vocabs) if origin_of(base) == origin else None
    if corpus is None:
        encode(text, vocabs, origin, base, run.log, filters)
        corpus = open_corpus(base, vocabs)
        assert corpus is not None
    if not len(corpus):
        way_out = "shorten data.filter, or raise data.max_pieces" if filters.names else "raise data.max_pieces"
        raise UserError(f"{text.src.path}: no pair in it can be used ({corpus.report}); {way_out}")
    run.log(f"{name}: {corpus.report}")
    return corpus
