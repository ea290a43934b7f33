"""The confidence files of a run: RUN/confidence.json, which people can read, and the tables of its source text."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from translate.confidence.features import Features, features, joined
from translate.confidence.model import ConfidenceModel, reason
from translate.confidence.result import GOOD, Confidence
from translate.confidence.source_text import SCALE, WORD, SourceText, Tables, read_tables
from translate.data.vocab import Vocab
from translate.errors import UserError
from translate.run.folder import Run
from translate.system.checked_json import read_record, typed, write_record
from translate.system.files import naming_disk_errors, read_regular, write_bytes
from translate.system.terminal_text import print_message

if TYPE_CHECKING:
    import numpy.typing as npt

FORMAT = 1  # of confidence.json
MAX_TABLE_BYTES = 2**28
ADVICE = "delete it; `translate evaluate --calibrate` writes it again"
TABLES_ADVICE = "restore it; or delete confidence.json, and `translate evaluate --calibrate` writes both"


@dataclass(frozen=True)
class _Record:
    """Content of confidence.json."""

    weights: str  # SHA-256 of the weights whose translations were observed
    tables: str  # SHA-256 of confidence.safetensors
    model: ConfidenceModel


class Estimator:
    """Estimates the confidence of a run's translations. `digest` identifies what the estimates depend on."""

    def __init__(self, model: ConfidenceModel, source: SourceText, digest: str) -> None:
        self.model, self.source, self.digest = model, source, digest

    def confidence(
        self, parts: Sequence[tuple[Sequence[int], Sequence[int]]], score: float, length_penalty: float
    ) -> Confidence:
        """Return the confidence of a translation. parts, score: as in Translation."""
        src, tgt = (joined(side) for side in zip(*parts, strict=True))
        signals = self.source.signals(src)
        return self.model.confidence(features(score, length_penalty, len(src), len(tgt), signals), signals)

    def reasons_of_source(self, parts: Sequence[Sequence[int]]) -> tuple[str, ...]:
        """Return why a translation is unsure, as far as its source tells. parts: the pieces of the source."""
        signals = self.source.signals(joined(parts))
        return (reason(signals, self.model.limits),) if self.model.is_foreign(signals) else ()


def load_estimator(run: Run, vocab: Vocab, weights: str) -> Estimator | None:
    """Return the run's estimator, or None if it has none, or only one for other weights.

    weights: SHA-256 of the weights in use. Raises UserError if a file is damaged.
    """
    path = run.confidence_path
    with suppress(FileNotFoundError):
        record = _read(run)
        if record.weights != weights:
            print_message(f"note: {path}: belongs to other weights, so translations have no confidence; {ADVICE}")
            return None
        digest = hashlib.sha256(json.dumps(asdict(record)).encode()).hexdigest()
        return Estimator(record.model, SourceText(_usable_tables(run, record.tables, vocab), vocab), digest)
    return None


def inherit_words(run: Run, other: Run) -> None:
    """Copy the tables of another run, if it has any, to a run that starts from its weights; see `inherited_words`."""
    with suppress(FileNotFoundError, UserError):
        write_bytes(run.confidence_tables_path, _intact_tables(other, _read(other).tables))


def inherited_words(run: Run) -> array[int] | None:
    """Return the hashes of the words that the run's tables have so far, or None if it has no tables."""
    try:
        return read_tables(read_regular(run.confidence_tables_path, MAX_TABLE_BYTES))["words"]
    except (FileNotFoundError, UserError, ValueError, KeyError, TypeError):
        return None


def described_for_page(estimator: Estimator) -> dict[str, Any]:
    """Return what the engine in JavaScript needs besides the tables, as JSON values."""
    return {"model": asdict(estimator.model), "good": GOOD, "pattern": WORD.pattern, "scale": SCALE}


def fitted_to(run: Run) -> str | None:
    """Return the SHA-256 of the weights to which the run's intact files were fitted, or None if there are none."""
    with suppress(FileNotFoundError, UserError):
        record = _read(run)
        _intact_tables(run, record.tables)
        return record.weights
    return None


def packed(tables: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return the content of a file of tables."""
    import safetensors.numpy

    content: bytes = safetensors.numpy.save(dict(tables))
    return content


def store(run: Run, model: ConfidenceModel, tables: bytes, weights: str) -> None:
    """Write the files, the tables first. If the disk is full then, the run has no confidence, but is of use."""
    digest = hashlib.sha256(tables).hexdigest()
    with naming_disk_errors(run.confidence_path):
        if digest != _tables_before(run):  # the record would call these tables damaged
            run.confidence_path.unlink(missing_ok=True)
    write_bytes(run.confidence_tables_path, tables)
    record = _Record(weights, digest, model)
    write_record(run.confidence_path, asdict(record), FORMAT)


def _tables_before(run: Run) -> str | None:
    with suppress(FileNotFoundError, UserError):
        return _read(run).tables
    return None


def _read(run: Run) -> _Record:
    path = run.confidence_path
    record = typed(_Record, read_record(path, FORMAT, ADVICE), path, ADVICE)
    terms = record.model.terms
    if not terms.keys() <= set(Features._fields) or not all(term.deviation > 0 for term in terms.values()):
        raise UserError(f"{path}: damaged; {ADVICE}")
    return record


def _intact_tables(run: Run, digest: str) -> bytes:
    path = run.confidence_tables_path
    try:
        content = read_regular(path, MAX_TABLE_BYTES)
    except FileNotFoundError:
        raise UserError(f"{path}: missing; {TABLES_ADVICE}") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise UserError(f"{path}: damaged, or of another run; {TABLES_ADVICE}")
    return content


def _usable_tables(run: Run, digest: str, vocab: Vocab) -> Tables:
    """Return the run's tables. Raises UserError if they are not those of a vocabulary of this size."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        tables = read_tables(_intact_tables(run, digest))
        sizes = [len(tables[name]) - vocab.size for name in ("surprisals", "begins", "unpaired")]
        if sizes == [0, 0, 1] and len(tables["pairs"]) == len(tables["affinities"]) and "words" in tables:
            return tables
    raise UserError(f"{run.confidence_tables_path}: damaged, or of another run; {TABLES_ADVICE}")
