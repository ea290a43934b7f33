"""From settings to what training reads: vocabularies, encoded corpora, validation lines. Each made once a run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from translate.config import Config, DataSettings
from translate.corpus import EncodedCorpus, encode, open_corpus
from translate.errors import UserError
from translate.files import write_text
from translate.run import Run
from translate.text import Pair, ParallelText, Side, fingerprint, split_off
from translate.vocab import Vocab, VocabPair, train_vocab


@dataclass(frozen=True)
class Prepared:
    """All that training reads."""

    vocabs: VocabPair
    train: EncodedCorpus
    valid: EncodedCorpus
    valid_pairs: list[Pair]  # the first of them, as text, to translate and compare


def prepare(run: Run, config: Config) -> Prepared:
    """Train or read the vocabularies, encode the corpora into the run folder, or find there what was made before.

    Raises UserError where a text is bad or empty, or is not the one with which the run began.
    """
    train_text, valid_text = _texts(config.data)
    _check_texts(run, train_text, valid_text)
    vocabs = run.load_vocabs()
    if vocabs is None:
        vocabs = _make_vocabs(run, config, train_text)
        run.write_vocabs(vocabs)
    train = _encoded(run, "train", train_text, vocabs, config.data)
    valid = _encoded(run, "valid", valid_text, vocabs, config.data)
    valid_pairs = itertools.islice((pair for pair in valid_text if pair.is_full), config.train.validate_sentences)
    return Prepared(vocabs, train, valid, list(valid_pairs))


def _texts(data: DataSettings) -> tuple[ParallelText, ParallelText]:
    train = ParallelText(Side(Path(data.train_src), data.src_column), Side(Path(data.train_tgt), data.tgt_column))
    if not data.valid_src:
        return split_off(train, data.valid_pairs)
    valid = ParallelText(Side(Path(data.valid_src), data.src_column), Side(Path(data.valid_tgt), data.tgt_column))
    return train, valid


def _check_texts(run: Run, train_text: ParallelText, valid_text: ParallelText) -> None:
    """Read the texts through before anything is made of them, so that what is wrong with them is said at once.

    What they hold is recorded when the run begins: resuming is exact only on the same text.
    """
    for name, text in ("train", train_text), ("valid", valid_text):
        path = run.corpus_path / f"{name}.sha256"
        now = fingerprint(text)
        if not path.exists():
            if not sum(1 for pair in text if pair.is_full):  # not `any`: what is wrong may stand in the last line
                raise UserError(_nothing_in(text))
            path.parent.mkdir(exist_ok=True)
            write_text(path, now + "\n")
        elif path.read_bytes().strip() != now.encode():
            raise UserError(
                f"{text.src.path} or {text.tgt.path} changed since {run.path} began; restore them, or start a new run"
            )


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

    def src_lines() -> Iterator[str]:
        return (pair.src for pair in text)

    def tgt_lines() -> Iterator[str]:
        return (pair.tgt for pair in text)

    def both() -> Iterator[str]:
        return itertools.chain.from_iterable(text)

    run.log("training the vocabulary")
    if settings.joint:
        vocab = train_vocab(both, settings, seed, run.log)
        return VocabPair(vocab, vocab)
    return VocabPair(train_vocab(src_lines, settings, seed, run.log), train_vocab(tgt_lines, settings, seed, run.log))


def _encoded(run: Run, name: str, text: ParallelText, vocabs: VocabPair, data: DataSettings) -> EncodedCorpus:
    base = run.corpus_path / name
    corpus = open_corpus(base, vocabs)
    if corpus is None:
        encode(text, vocabs, data.max_pieces, base)
        corpus = open_corpus(base, vocabs)
        assert corpus is not None
    if not len(corpus):
        raise UserError(f"{text.src.path}: no pair in it can be used ({corpus.report}); raise data.max_pieces")
    run.log(f"{name}: {corpus.report}")
    return corpus
