"""Prepare the training data, once per run: vocabularies, encoded corpora and validation lines.

A new run reads its training text three times: to scan it, to train the vocabulary and to encode it. Filters
(data.filter), separate or smaller vocabularies and alignments require additional passes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from translate.check.sample_check import check_sample
from translate.config.settings import Config, DataSettings
from translate.data.encoded_corpus import CorpusOrigin, EncodedCorpus, encode, open_corpus, origin_of
from translate.data.filters import NO_FILTERS, Filters, kept_pairs
from translate.data.parallel_text import SAME_SIDES, Pair, ParallelText, fingerprint, split, text_of
from translate.data.readers.sides import Side
from translate.data.resampled_corpus import ResampledCorpus
from translate.data.text_scan import MIN_SPLIT_PAIRS, TextScan, scan_text
from translate.data.vocab import Log, Vocab, VocabPair, train_vocab
from translate.data.word_links import check_alignment
from translate.errors import UserError
from translate.report.progress import announced
from translate.run.folder import Run
from translate.system.checked_json import read_record, typed, write_record
from translate.system.distributed import World
from translate.system.files import atomic_replace
from translate.system.signals import dying_of_signals
from translate.training.recombination import Recombination

TEXTS = {"train": "training", "valid": "validation"}  # names of encoded corpora
FORMAT = 1  # format version of texts.json
NO_PAIRS = "no pair of lines has text on both sides; check that both files are complete"
SHARED = (
    "validation: {num_pairs} pairs are too few to hold any out, so the training text is also the validation text; its "
    "scores show how well the text was memorized (pass --valid-src and --valid-tgt to validate on other text)"
)


class EpochCorpus(Protocol):
    """A training text that is another one in each epoch. It is a pure function of the epoch."""

    def of_epoch(self, epoch: int, vocabs: VocabPair, world: World) -> EncodedCorpus:
        """Return the corpus for an epoch. All processes must call this with the same epoch."""


@dataclass(frozen=True)
class Prepared:
    """Data used in training."""

    vocabs: VocabPair
    train: EncodedCorpus
    valid: EncodedCorpus
    valid_pairs: list[Pair]  # text of the first pairs, which are translated and scored
    drawn: EpochCorpus | None = None  # with vocab.dropout or train.recombine: the training text of each epoch

    def train_in(self, epoch: int, world: World) -> EncodedCorpus:
        """Return the training corpus for an epoch. All processes must call this with the same epoch."""
        return self.drawn.of_epoch(epoch, self.vocabs, world) if self.drawn else self.train


def prepare(run: Run, config: Config, scan: TextScan | None = None) -> Prepared:
    """Create the vocabularies and encoded corpora in the run folder, or open them if they already exist.

    scan: result of an earlier scan of the training text, if any. Raises UserError if a text is invalid or empty, or
    has changed since the run began.
    """
    data, filters = config.data, Filters.of(config.data)
    train_text = text_of(data, data.train_src, data.train_tgt, data.train_align)
    # Validation pairs that are split off are copied to the run folder, because finding them in a long text is slow.
    copy = ParallelText(Side(run.corpus_path / "valid.src.txt", 1), Side(run.corpus_path / "valid.tgt.txt", 1))
    valid_text = text_of(data, data.valid_src, data.valid_tgt) if data.valid_src else copy
    record, num_lines = _recorded(run, data, scan, train_text, valid_text)
    if record.is_shared:
        valid_text = ParallelText(train_text.src, train_text.tgt)
    if record.split_at:
        train_text = split(train_text, record.split_at).train
    if run.has_vocabs:
        vocabs = run.load_vocabs()
        if (encoded := origin_of(run.corpus_path / "train")) and encoded.vocabs != vocabs.fingerprint:
            path = run.path / "vocab.model"
            raise UserError(f"{path}: does not match the encoded text of this run; restore the file or start a new run")
    else:
        vocabs = _make_vocabs(run, config, train_text, None if filters.names else num_lines)
        run.write_vocabs(vocabs)
    origin = CorpusOrigin(record.train, str(train_text.hashes), vocabs.fingerprint, data.max_pieces)
    origin = replace(origin, is_aligned=train_text.alignment is not None, filters=str(filters))
    train = _encoded(run, "train", train_text, vocabs, origin, filters)
    drawn = _resampled(run, config, train_text, origin, vocabs) or _recombined(config, train, vocabs, run.log)
    origin = CorpusOrigin(record.valid, str(valid_text.hashes), vocabs.fingerprint, data.max_pieces)
    valid = _encoded(run, "valid", valid_text, vocabs, origin, NO_FILTERS)
    valid_pairs = itertools.islice((pair for pair in valid_text if pair.is_full), config.train.validate_sentences)
    return Prepared(vocabs, train, valid, list(valid_pairs), drawn)


def prepare_together(run: Run, config: Config, world: World, scan: TextScan | None = None) -> Prepared:
    """Call `prepare` in the first process. The other processes wait and then open the resulting files."""
    prepared = prepare(run, config, scan) if world.is_first else None
    own = (prepared.valid_pairs, prepared.drawn if config.vocab.dropout else None) if prepared else None
    gathered = world.gather(own)[0]
    if prepared:
        return prepared
    if gathered and run.has_vocabs:
        vocabs = run.load_vocabs()
        train, valid = (open_corpus(run.corpus_path / name, vocabs) for name in ("train", "valid"))
        if train and valid:
            valid_pairs, resampled = gathered
            drawn = resampled or _recombined(config, train, vocabs, log=lambda line: None)
            return Prepared(vocabs, train, valid, valid_pairs, drawn)
    raise UserError(f"{run.path}: files written by the first process are missing; all machines must share this folder")


def scan_training_text(data: DataSettings) -> TextScan:
    """Scan the entire training text, so that errors in it are reported early."""
    text = text_of(data, data.train_src, data.train_tgt, data.train_align)
    with announced("reading the training text"):
        return _refusing_one_file(text, scan_text(text, 0 if data.valid_src else data.valid_pairs))


def _refusing_one_file(text: ParallelText, scan: TextScan) -> TextScan:
    """Refuse one file as both sides. Two files with the same content are a task like any other: copying."""
    if scan.num_pairs and scan.num_identical == scan.num_pairs and text.is_one_file:
        raise UserError(f"{text.src.path} and {text.tgt.path}: both sides of every pair are the same; {SAME_SIDES}")
    return scan


@dataclass(frozen=True)
class _Record:
    """State of the texts when the run began. Training can only be resumed exactly if they are unchanged."""

    train: str  # fingerprint
    valid: str  # fingerprint
    split_at: int  # pairs with a lower source-line hash are for validation; 0 if no pairs are split off
    is_shared: bool = False  # the training text is also the validation text, because it is too small to be split


def _recorded(
    run: Run, data: DataSettings, scan: TextScan | None, train: ParallelText, valid: ParallelText
) -> tuple[_Record, int | None]:
    """Scan and record the texts of a new run, or check that the texts of an existing run match its record.

    train: the training text before the validation pairs are split off. Returns the record and the number of line
    pairs that remain for training (None if the texts were not scanned).
    """
    path = run.corpus_path / "texts.json"
    num_lines = None
    if not path.exists():
        run.corpus_path.mkdir(exist_ok=True)
        check_alignment(train)
        scan = scan or scan_training_text(data)
        if not scan.num_pairs:
            raise UserError(f"{train.src.name}: {NO_PAIRS}")
        is_shared = not data.valid_src and scan.num_pairs < MIN_SPLIT_PAIRS
        num_lines = scan.num_lines - (_split_off(scan, train, valid) if scan.split_at else 0)
        if is_shared:
            valid = ParallelText(train.src, train.tgt)
            run.log(SHARED.format(num_pairs=scan.num_pairs))
        valid_scan = _refusing_one_file(valid, scan_text(valid)) if data.valid_src else scan_text(valid)
        if not valid_scan.num_pairs:
            raise UserError(f"{valid.src.name}: {NO_PAIRS}")
        with announced("checking a sample of the text"):
            warnings = check_sample(scan.sample, data)
        for line in warnings:
            run.log(line)
        record = _Record(scan.fingerprint, valid_scan.fingerprint, scan.split_at, is_shared)
        write_record(path, asdict(record), FORMAT)
    advice = f"remove {run.corpus_path} to read and encode the texts again"
    record = typed(_Record, read_record(path, FORMAT, advice), path, advice)
    has_own = bool(record.split_at) or record.is_shared
    if has_own == bool(data.valid_src):
        began, change = ("without", "remove") if has_own else ("with", "restore")
        raise UserError(f"{run.path}: was started {began} data.valid_src; {change} it to resume, or start a new run")
    if num_lines is None:
        links = " or the alignments in data.train_align"
        texts = [(train, record.train, links), *([] if record.is_shared else [(valid, record.valid, "")])]
        for text, before, more in texts:
            with announced("checking that the text is unchanged"):
                is_same = fingerprint(text) == before
            if not is_same:
                files = f"{text.src.name} or {text.tgt.name}{more}"
                raise UserError(f"{files} changed after {run.path} was started; restore them, or start a new run")
    return record, num_lines


def _split_off(scan: TextScan, train: ParallelText, valid: ParallelText) -> int:
    """Write the validation pairs to the files of `valid`. Returns the number of line pairs that were split off."""
    are_full = [pair.is_full for pair in scan.valid_pairs()]
    if not 0 < sum(are_full) < scan.num_pairs:
        reason = "too few distinct lines to split off a validation text; pass one with --valid-src and --valid-tgt"
        raise UserError(f"{train.src.name}: {reason}")
    for side, path in enumerate((valid.src.path, valid.tgt.path)):
        with atomic_replace(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as lines:
            lines.writelines(f"{pair[side]}\n" for pair in scan.valid_pairs())
    return len(are_full)


def _make_vocabs(run: Run, config: Config, text: ParallelText, num_lines: int | None) -> VocabPair:
    """Load or train the vocabularies. num_lines: number of line pairs in the text, if known."""
    settings, filters = config.vocab, Filters.of(config.data)
    if settings.model:
        vocab = Vocab.load(Path(settings.model))
        return VocabPair(vocab, vocab)

    def trained(*sides: int) -> Vocab:
        def lines() -> Iterator[str]:
            return (pair[side] for pair in kept_pairs(text, filters) for side in sides)

        return train_vocab(lines, settings, config.train.seed, run.log, num_lines and num_lines * len(sides))

    with announced("training the vocabulary"), dying_of_signals():
        return VocabPair(*[trained(0, 1)] * 2 if settings.joint else [trained(0), trained(1)])


def _resampled(
    run: Run, config: Config, text: ParallelText, origin: CorpusOrigin, vocabs: VocabPair
) -> ResampledCorpus | None:
    dropout = config.vocab.dropout
    if not dropout:
        return None
    if not (vocabs.src.has_merges and vocabs.tgt.has_merges):
        raise UserError(
            f"vocab.dropout = {dropout}: BPE-dropout skips merges, but {config.vocab.model} has none; "
            "set vocab.dropout to 0.0, or set vocab.model to a sentencepiece model of type bpe"
        )
    run.log(f"vocab.dropout: {dropout:g} of the merges in the training text are skipped at random in each epoch")
    origin = replace(origin, dropout=dropout, seed=config.train.seed)
    return ResampledCorpus(run.corpus_path, run.log, text, origin, Filters.of(config.data))


def _recombined(config: Config, corpus: EncodedCorpus, vocabs: VocabPair, log: Log) -> Recombination | None:
    share = config.train.recombine
    return Recombination(corpus, vocabs, share, config.train.seed, log) if share else None


def _encoded(
    run: Run, name: str, text: ParallelText, vocabs: VocabPair, origin: CorpusOrigin, filters: Filters
) -> EncodedCorpus:
    base = run.corpus_path / name
    with announced(f"opening the encoded {TEXTS[name]} text"):
        corpus = open_corpus(base, vocabs) if origin_of(base) == origin else None
    if corpus is None:
        run.log(f"encoding the {TEXTS[name]} text")
        encode(text, vocabs, origin, base, run.log, filters)
        corpus = open_corpus(base, vocabs)
        assert corpus is not None
    if not len(corpus):
        way_out = f"{'shorten data.filter, or ' if filters.names else ''}raise data.max_pieces ({origin.max_pieces})"
        way_out += ", or split the lines into sentences" if corpus.report.too_long else ""
        raise UserError(f"{text.src.name}: none of its pairs can be used ({corpus.report}); {way_out}")
    run.log(f"{name}: {corpus.report}")
    if changes := corpus.report.changes:
        run.log(f"{name}: {changes}")
    return corpus
