"""Preparation of training data: vocabularies, encoded corpora, validation lines. Each is created once per run.

A new run reads its training text three times: to scan it, to train the vocabulary and to encode it. Filters
(data.filter), separate or smaller vocabularies and alignments need further passes.
"""

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
from translate.data.parallel_text import Pair, ParallelText, check_stays, fingerprint, split, text_of
from translate.data.readers.sides import Side
from translate.data.resampled_corpus import ResampledCorpus
from translate.data.text_scan import TextScan, scan_text
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
    """The data that training reads."""

    vocabs: VocabPair
    train: EncodedCorpus
    valid: EncodedCorpus
    valid_pairs: list[Pair]  # the first pairs as text, to translate and score
    drawn: ResampledCorpus | None = None  # with vocab.dropout: encodes the training text again for each epoch

    def train_in(self, epoch: int, world: World) -> EncodedCorpus:
        """Return the training text as an epoch reads it. All processes have to call this with the same epoch."""
        return self.drawn.of_epoch(epoch, self.vocabs, world) if self.drawn else self.train


def prepare(run: Run, config: Config, scan: TextScan | None = None) -> Prepared:
    """Train or load the vocabularies and encode the corpora into the run folder, unless they already exist.

    scan: scan of the training text, if it was read before. Raises UserError if a text is invalid or empty, or has
    changed since the run began.
    """
    texts = _texts(run, config.data, scan)
    filters = Filters.of(config.data)
    if run.has_vocabs:
        vocabs = run.load_vocabs()
        if (encoded := origin_of(run.corpus_path / "train")) and encoded.vocabs != vocabs.fingerprint:
            raise UserError(
                f"{run.path / 'vocab.model'}: does not match the encoded text of this run; restore it, or start a "
                "new run"
            )
    else:
        vocabs = _make_vocabs(run, config, texts.train, None if filters.names else texts.num_train_lines)
        run.write_vocabs(vocabs)
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


def prepare_together(run: Run, config: Config, world: World, scan: TextScan | None = None) -> Prepared:
    """Call `prepare` in the first process; the others wait, then open the files that it wrote."""
    if world.is_first:
        prepared = prepare(run, config, scan)
        world.gather((prepared.valid_pairs, prepared.drawn))
        return prepared
    empty: tuple[list[Pair], ResampledCorpus | None] = ([], None)
    valid_pairs, drawn = world.gather(empty)[0]
    if run.has_vocabs:
        vocabs = run.load_vocabs()
        train, valid = (open_corpus(run.corpus_path / name, vocabs) for name in ("train", "valid"))
        if train and valid:
            return Prepared(vocabs, train, valid, valid_pairs, drawn)
    raise UserError(
        f"{run.path}: does not contain the files written by the first process; all machines need the run folder at the "
        "same path on a shared file system"
    )


def scan_training_text(data: DataSettings) -> TextScan:
    """Read the whole training text once, so that errors in it are reported early."""
    text = text_of(data, data.train_src, data.train_tgt, data.train_align)
    check_stays(text.src.path, text.tgt.path)
    return scan_text(text, 0 if data.valid_src else data.valid_pairs)


def nothing_to_train_on(path: Path | str, num_pairs: int) -> str:
    """Explain why a text cannot be used. num_pairs: pairs in the whole text with text on both sides."""
    if num_pairs:
        reason = "too few different lines to split off a validation text; pass one with --valid-src and --valid-tgt"
    else:
        reason = "no pair of lines has text on both sides; check that both files are complete"
    return f"{path}: {reason}"


@dataclass(frozen=True)
class _Record:
    """Fingerprints of the texts when the run began: training resumes exactly only with unchanged texts."""

    train: str  # fingerprint
    valid: str  # fingerprint
    split_at: int  # pairs whose source line has a lower hash are for validation; 0: validation files are given


class _Texts(NamedTuple):
    train: ParallelText
    valid: ParallelText
    record: _Record
    num_train_lines: int | None  # None if the text was only compared with the record


def _texts(run: Run, data: DataSettings, scan: TextScan | None) -> _Texts:
    """Return both texts. They are scanned when the run begins; later they must match the record."""
    whole = text_of(data, data.train_src, data.train_tgt, data.train_align)
    # Pairs split off are copied into the run folder: finding them in a long text takes a while.
    copy = ParallelText(Side(run.corpus_path / "valid.src.txt", 1), Side(run.corpus_path / "valid.tgt.txt", 1))
    valid = text_of(data, data.valid_src, data.valid_tgt) if data.valid_src else copy
    check_stays(whole.src.path, whole.tgt.path, valid.src.path, valid.tgt.path)
    path = run.corpus_path / "texts.json"
    num_train_lines = None
    if not path.exists():
        run.corpus_path.mkdir(exist_ok=True)
        check_alignment(whole)
        scan = scan or scan_training_text(data)
        num_train_lines = scan.num_lines - (0 if data.valid_src else _split_off(scan, whole, valid))
        valid_scan = scan_text(valid)
        if not (scan.num_pairs and valid_scan.num_pairs):
            raise UserError(nothing_to_train_on((valid if scan.num_pairs else whole).src.path, num_pairs=0))
        for line in check_sample(scan.sample, data):
            run.log(line)
        write_record(path, asdict(_Record(scan.fingerprint, valid_scan.fingerprint, scan.split_at)), FORMAT)
    record = _Record(**read_record(path, FORMAT, f"remove {run.corpus_path} to read and encode the texts again"))
    if bool(record.split_at) == bool(data.valid_src):
        change = "remove" if record.split_at else "restore"
        began = "without" if record.split_at else "with"
        raise UserError(f"{run.path}: began {began} data.valid_src; {change} it to resume, or start a new run")
    if num_train_lines is None:
        _check_unchanged(run, whole, record.train, " or the alignments in data.train_align")
        _check_unchanged(run, valid, record.valid)
    return _Texts(split(whole, record.split_at).train if record.split_at else whole, valid, record, num_train_lines)


def _check_unchanged(run: Run, text: ParallelText, before: str, more: str = "") -> None:
    if fingerprint(text) != before:
        raise UserError(
            f"{text.src.path} or {text.tgt.path}{more} changed since {run.path} began; restore them, or start a new run"
        )


def _split_off(scan: TextScan, whole: ParallelText, valid: ParallelText) -> int:
    """Write the validation pairs to the files of `valid`. Returns how many pairs of lines were split off."""
    num_lines = num_pairs = 0
    for pair in scan.valid_pairs():
        num_lines += 1
        num_pairs += pair.is_full
    if not 0 < num_pairs < scan.num_pairs:
        raise UserError(nothing_to_train_on(whole.src.path, scan.num_pairs))
    with (
        atomic_write(valid.src.path) as src_path,
        atomic_write(valid.tgt.path) as tgt_path,
        src_path.open("w", encoding="utf-8", newline="\n") as src,
        tgt_path.open("w", encoding="utf-8", newline="\n") as tgt,
    ):
        for pair in scan.valid_pairs():
            src.write(f"{pair.src}\n")
            tgt.write(f"{pair.tgt}\n")
    return num_lines


def _make_vocabs(run: Run, config: Config, text: ParallelText, num_lines: int | None) -> VocabPair:
    """Load or train the vocabularies. num_lines: pairs of lines in the text, if they were counted."""
    settings, seed = config.vocab, config.train.seed
    if settings.model:
        vocab = Vocab.load(Path(settings.model))
        return VocabPair(vocab, vocab)

    def lines_of(*sides: int) -> Iterator[str]:
        return (pair[side] for pair in kept_pairs(text, Filters.of(config.data)) for side in sides)

    run.log("training the vocabulary")
    with dying_of_signals():
        if settings.joint:
            num_both = None if num_lines is None else 2 * num_lines
            vocab = train_vocab(lambda: lines_of(0, 1), settings, seed, run.log, num_both)
            return VocabPair(vocab, vocab)
        src = train_vocab(lambda: lines_of(0), settings, seed, run.log, num_lines)
        return VocabPair(src, train_vocab(lambda: lines_of(1), settings, seed, run.log, num_lines))


def _drawn(
    run: Run, config: Config, text: ParallelText, origin: CorpusOrigin, vocabs: VocabPair
) -> ResampledCorpus | None:
    dropout = config.vocab.dropout
    if not dropout:
        return None
    if not (vocabs.src.has_merges and vocabs.tgt.has_merges):
        raise UserError(
            f"vocab.dropout = {dropout}: BPE-dropout leaves out merges, but {config.vocab.model} has none; "
            "set it to 0.0, or vocab.model to a sentencepiece model of type bpe"
        )
    run.log(
        f"{dropout:g} of the merges in the training text are left out at random, redrawn every epoch (vocab.dropout)"
    )
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
        raise UserError(f"{text.src.path}: none of its pairs can be used ({corpus.report}); {way_out}")
    run.log(f"{name}: {corpus.report}")
    return corpus
