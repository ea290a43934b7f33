"""Run folders and the files in them."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import Any

from filelock import Timeout
from pydantic import FiniteFloat, TypeAdapter

from translate.config.limits import Column
from translate.config.settings import Config
from translate.config.toml import differences, is_frozen, load_config, to_toml
from translate.data.parallel_text import ParallelText
from translate.data.readers.sides import Columns
from translate.data.vocab import MAX_MODEL_BYTES, Vocab, VocabPair, fingerprint
from translate.errors import UserError
from translate.run.weights import vocabs_of
from translate.system.checked_json import read_record, typed, write_record
from translate.system.files import append_text, open_regular, read_regular, write_bytes, write_text
from translate.system.locks import release_lock, take_lock
from translate.system.terminal_text import print_message, spelled_out

ALIGNMENT_FORMAT, CHOSEN_FORMAT = 2, 1  # formats of alignment.json and chosen.json
MAX_METRICS_BYTES = 2**30  # size limit of metrics.jsonl, which takes about 250 bytes per entry
LOCK = ".lock"
FIGURES = TypeAdapter(dict[str, FiniteFloat | None])  # of metrics.jsonl
ADVICE = TypeAdapter(list[str])
SIGNATURES = TypeAdapter(dict[str, str])  # of sacreBLEU
PARTIAL = ".*.partial"  # unfinished files and folders left by a killed process


class Run:
    """Folder written by `translate train`. It contains everything needed for decoding and can be moved freely."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_path = path / "config.toml"
        self.weights_path = path / "model.safetensors"
        self.metrics_path = path / "metrics.jsonl"
        self.log_path = path / "train.log"
        self.curves_path = path / "curves.png"
        self.alignment_path = path / "alignment.json"
        self.chosen_path = path / "chosen.json"
        self.confidence_path = path / "confidence.json"
        self.confidence_tables_path = path / "confidence.safetensors"
        self.checkpoints_path = path / "checkpoints"
        self.corpus_path = path / "corpus"
        self.snapshots_path = path / "snapshots"
        self.followers: list[Callable[[Mapping[str, Any]], None]] = []  # called with each new line of metrics.jsonl
        self._reported: set[str] = set()

    @classmethod
    def create(cls, path: Path, config: Config) -> Run:
        """Create the folder and write the settings to it. Raises UserError if the folder is already in use."""
        run = cls(path)
        run.refuse_used()
        path.mkdir(parents=True, exist_ok=True)
        run._sweep()
        run.write_config(config)
        return run

    @classmethod
    def resume(cls, path: Path, config: Config) -> Run:
        """Open a run to resume it with `config`. Raises UserError if a setting that must stay fixed has changed."""
        run = cls.open(path)
        changed = differences(run.load_config(), config)
        if frozen := [change for name, change in changed.items() if is_frozen(name)]:
            raise UserError(began_otherwise(path, frozen))
        run._sweep()
        for change in changed.values():
            run.log(f"setting changed: {change}")
        return run

    def refuse_used(self) -> None:
        """Raise UserError if the path exists, unless it is a folder that contains only unfinished files and a lock."""
        unused = {self.path / LOCK, *self.path.glob(PARTIAL)}
        if self.path.exists() and (not self.path.is_dir() or set(self.path.iterdir()) - unused):
            what = "already exists" if self.config_path.is_file() else "already exists, and is not a run"
            resume = "add --resume to resume this run, or " * self.config_path.is_file()
            raise UserError(f"{self.path}: {what}; {resume}choose another --out")

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open an existing run. Raises UserError if the path is not a run folder."""
        run = cls(path)
        if not run.config_path.is_file():
            reason = "not a run folder (it has no config.toml)" if path.exists() else "no such folder"
            raise UserError(f"{path}: {reason}; pass a folder written by `translate train`")
        return run

    def load_config(self) -> Config:
        """Read all settings of the run."""
        return load_config(self.config_path)

    def update_config(self, config: Config) -> None:
        """Write the settings if they differ from those in config.toml."""
        if config != self.load_config():
            self.write_config(config)

    def write_config(self, config: Config) -> None:
        """Write all settings to config.toml."""
        write_text(self.config_path, "# All settings of this run.\n\n" + to_toml(config))

    def digest_of_weights(self) -> str:
        """Return the SHA-256 of model.safetensors. Raises UserError if there are no weights yet."""
        try:
            with open_regular(self.weights_path) as weights:
                return hashlib.file_digest(weights, "sha256").hexdigest()
        except FileNotFoundError:
            raise UserError(f"{self.weights_path}: no weights found; has training saved any yet?") from None

    def load_alignment(self) -> dict[str, Any] | None:
        """Read the alignment configuration written by `translate align --store`, or return None if there is none."""
        with suppress(FileNotFoundError):
            advice = "store it again with `translate align --store`, or delete it"
            return read_record(self.alignment_path, ALIGNMENT_FORMAT, advice)
        return None

    def write_alignment(self, values: dict[str, Any]) -> None:
        """Write the alignment configuration for `load_alignment`."""
        write_record(self.alignment_path, values, ALIGNMENT_FORMAT)

    def load_chosen(self) -> list[str]:
        """Return the names of the settings that training chose itself."""
        with suppress(FileNotFoundError):
            values = read_record(self.chosen_path, CHOSEN_FORMAT, "delete it")
            return typed(list[str], values.get("settings"), self.chosen_path, "delete it")
        return []

    def write_chosen(self, names: Collection[str]) -> None:
        """Write the names for `load_chosen`."""
        write_record(self.chosen_path, {"settings": sorted(names)}, CHOSEN_FORMAT)

    @property
    def columns(self) -> Columns:
        """The columns that hold the run's source and target in files with both."""
        data = self.load_config().data
        columns = (data.tgt_column, data.src_column) if data.reverse else (data.src_column, data.tgt_column)
        return Columns(*columns, data.header)

    def text(
        self, src: Path, tgt: Path, src_column: Column | None = None, tgt_column: Column | None = None
    ) -> ParallelText:
        """Return the text with this source and this target file.

        src_column, tgt_column: what to read in files that hold both sides; None: the run's columns.
        """
        source, target = self.columns.changed(src_column, tgt_column).sides(src, tgt)
        return ParallelText(source, target)

    @property
    def has_vocabs(self) -> bool:
        """Whether the vocabulary files exist, even if they are damaged."""
        return all(path.exists() for path in self._vocab_paths())

    def load_vocabs(self) -> VocabPair:
        """Read the vocabularies. Raises UserError if they are missing or do not match the weights."""
        if not self.has_vocabs:
            raise UserError(f"{self.path}: this run has no vocabulary yet; resume it with `translate train --resume`")
        src, tgt = self._vocab_paths()
        protos = read_regular(src, MAX_MODEL_BYTES), read_regular(tgt, MAX_MODEL_BYTES)
        # Compare fingerprints before sentencepiece reads the files, because it does not detect all damage.
        if vocabs_of(self.weights_path) not in (None, fingerprint(*protos)):
            names = f"{src}" if src == tgt else f"{src} or {tgt}"
            raise UserError(f"{names}: does not match {self.weights_path.name}; restore the original file")
        vocab = Vocab(protos[0], str(src))
        return VocabPair(vocab, vocab if src == tgt else Vocab(protos[1], str(tgt)))

    def _vocab_paths(self) -> tuple[Path, Path]:
        joint = self.path / "vocab.model"
        return (joint, joint) if joint.exists() else (self.path / "vocab.src.model", self.path / "vocab.tgt.model")

    def write_vocabs(self, vocabs: VocabPair) -> None:
        """Write one file for a joint vocabulary, or one file per side otherwise."""
        files = {"vocab": vocabs.src} if vocabs.joint else {"vocab.src": vocabs.src, "vocab.tgt": vocabs.tgt}
        for name, vocab in files.items():
            write_bytes(self.path / f"{name}.model", vocab.proto)

    def log(self, text: str) -> None:
        """Print a line to standard error, above the progress bar, and append it to train.log with a timestamp."""
        text = spelled_out(text, "\n")  # the line may quote input text, and logs are viewed in terminals
        print_message(text)
        append_text(self.log_path, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    @contextmanager
    def tolerating_disk_errors(self, what: str) -> Iterator[None]:
        """Continue training if the block, which writes optional output, fails. Only the first such error is logged."""
        try:
            yield
        except (OSError, UserError) as error:
            if what not in self._reported:
                self._reported.add(what)
                self.log(f"warning: training continues without {what}: {error}")

    def append_metrics(self, **values: object) -> None:
        """Append a line to metrics.jsonl, without figures that are not finite, which JSON cannot express."""
        known = {name: value for name, value in values.items() if not isinstance(value, float) or isfinite(value)}
        append_text(self.metrics_path, json.dumps(known) + "\n")
        for follow in self.followers:
            follow(known)

    def metrics(self) -> list[dict[str, Any]]:
        """Read metrics.jsonl, ignoring an incomplete last line. Raises UserError if another line is damaged."""
        content = read_regular(self.metrics_path, MAX_METRICS_BYTES) if self.metrics_path.exists() else b""
        lines: list[dict[str, Any]] = []
        for number, line in enumerate(content.split(b"\n")[:-1], start=1):
            with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
                values = json.loads(line, parse_constant=lambda _: None)  # older versions wrote NaN
                figures = values.keys() - {"advice", "signatures"}
                FIGURES.validate_python({name: values[name] for name in figures}, strict=True)
                ADVICE.validate_python(values.get("advice", []), strict=True)
                SIGNATURES.validate_python(values.get("signatures", {}), strict=True)
                if type(values["step"]) is int and 0 <= values["step"] < 2**63:
                    lines.append(values)
            if len(lines) < number:
                raise UserError(f"{self.metrics_path}: line {number} is damaged; delete the line or the entire file")
        return lines

    def forget_metrics_after(self, step: int) -> None:
        """Remove the entries after `step`, which the resumed run will write again."""
        kept = [json.dumps(line) + "\n" for line in self.metrics() if line["step"] <= step]
        write_text(self.metrics_path, "".join(kept))

    def _sweep(self) -> None:
        """Delete unfinished files left by a killed process, except in folders that other processes may be using."""
        stale_paths = [*self.path.glob(PARTIAL), *self.checkpoints_path.glob(PARTIAL), *self.corpus_path.glob(PARTIAL)]
        for stale in [*stale_paths, *self.snapshots_path.rglob(PARTIAL)]:
            if stale.is_dir():
                shutil.rmtree(stale)
            else:
                stale.unlink(missing_ok=True)  # may have been deleted with its folder


@contextmanager
def new_training(path: Path, config: Config) -> Iterator[Run]:
    """Yield a new run that no other process can use during the block; it is locked before its first file is written.

    If a UserError ends the block before the first step, the folder is deleted, so that a corrected command can reuse
    it. Raises UserError if the folder is already in use.
    """
    run = Run(path)
    run.refuse_used()
    path.mkdir(parents=True, exist_ok=True)
    try:
        with training_alone(run):
            Run.create(path, config)  # another process may have used the folder since it was checked
            try:
                yield run
            except UserError:
                if not run.metrics_path.exists():
                    _delete_content(path)
                raise
    except UserError:
        with suppress(OSError):  # it is not empty
            path.rmdir()
        raise


def began_otherwise(path: Path, changes: Sequence[str]) -> str:
    """Return the message that a run cannot be resumed with these changes."""
    return f"{path}: this run began with {', '.join(changes)}; restore these values or start a new run"


def _delete_content(folder: Path) -> None:
    """Delete everything but the lock, which other processes can take as soon as it is gone."""
    for path in (path for path in folder.iterdir() if path.name != LOCK):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def training_alone(run: Run) -> Iterator[None]:
    """Prevent other processes from training in the folder during the block. Raises UserError if another one already is.

    The lock is released even if the process is killed. On a file system without locks, a warning is printed instead.
    """
    path = run.path
    with ExitStack() as stack:
        try:
            stack.callback(release_lock, take_lock(path / LOCK))
        except Timeout:
            message = f"{path}: another process is training in this folder; stop it, or choose another --out"
            raise UserError(message) from None
        except OSError:
            print_message(f"warning: {path}: cannot be locked; make sure that no other process is using it")
        yield
