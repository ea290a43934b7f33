"""The run folder: where its files are, and what training writes to it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import NoneType
from typing import Any

from filelock import Timeout
from tqdm import tqdm

from translate.config.settings import Config
from translate.config.toml import differences, is_frozen, load_config, to_toml
from translate.data.vocab import Vocab, VocabPair, fingerprint
from translate.errors import UserError
from translate.run.weights import vocabs_of
from translate.system.checked_json import read_record, write_record
from translate.system.files import naming_disk_errors, write_bytes, write_text
from translate.system.locks import release_lock, take_lock
from translate.system.terminal_text import without_controls

ALIGNMENT_FORMAT = 2  # of alignment.json
PARTIAL = ".*.partial"  # files and folders that a killed process left unfinished


class Run:
    """A folder that `translate train` wrote. It holds all that decoding needs: copy it elsewhere and decode."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_path = path / "config.toml"
        self.weights_path = path / "model.safetensors"
        self.metrics_path = path / "metrics.jsonl"
        self.log_path = path / "train.log"
        self.curves_path = path / "curves.png"
        self.alignment_path = path / "alignment.json"
        self.checkpoints_path = path / "checkpoints"
        self.corpus_path = path / "corpus"
        self.snapshots_path = path / "snapshots"
        self._reported: set[str] = set()

    @classmethod
    def create(cls, path: Path, config: Config) -> Run:
        """Make the folder and write the settings to it. Raises UserError if something is already there."""
        run = cls(path)
        run.refuse_used()
        path.mkdir(parents=True, exist_ok=True)
        run._sweep()
        run.write_config(config)
        return run

    @classmethod
    def resume(cls, path: Path, config: Config) -> Run:
        """Open the folder to resume it with `config`. Raises UserError if a setting changed that a run has to keep."""
        run = cls.open(path)
        changed = differences(run.load_config(), config)
        if frozen := [change for name, change in changed.items() if is_frozen(name)]:
            raise UserError(f"{path}: began with {', '.join(frozen)}; keep that to resume, or start a new run")
        run._sweep()
        for change in changed.values():
            run.log(f"setting changed: {change}")
        return run

    def refuse_used(self) -> None:
        """Raise UserError if something other than half-written files is already there."""
        path = self.path
        if path.exists() and (not path.is_dir() or set(path.iterdir()) - set(path.glob(PARTIAL))):
            raise UserError(f"{path}: already there; add --resume to continue it, or give another --out")

    def discard_if_unused(self) -> None:
        """Remove the folder if training never reached its first step, so that a corrected command can use it."""
        if not self.metrics_path.exists():
            shutil.rmtree(self.path, ignore_errors=True)

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open a folder. Raises UserError if it is not a run folder."""
        run = cls(path)
        if not run.config_path.is_file():
            reason = "no such folder" if not path.exists() else "not a run folder (it has no config.toml)"
            raise UserError(f"{path}: {reason}; give a folder that `translate train` wrote")
        return run

    def load_config(self) -> Config:
        """Read all settings of the run."""
        return load_config(self.config_path)

    def update_config(self, config: Config) -> None:
        """Write the settings, if they differ from those in the folder."""
        if config != self.load_config():
            self.write_config(config)

    def write_config(self, config: Config) -> None:
        """Write all settings to config.toml."""
        write_text(self.config_path, "# All settings of this run.\n\n" + to_toml(config))

    def digest_of_weights(self) -> str:
        """SHA-256 of the weights to use. Raises UserError if there are none yet."""
        try:
            with self.weights_path.open("rb") as weights:
                return hashlib.file_digest(weights, "sha256").hexdigest()
        except FileNotFoundError:
            raise UserError(f"{self.weights_path}: no such weights; has training written any yet?") from None

    def load_alignment(self) -> dict[str, Any] | None:
        """Read how the model aligns best, if `translate align --store` stored that."""
        try:
            return read_record(
                self.alignment_path, ALIGNMENT_FORMAT, "store it again with `translate align --store`, or remove it"
            )
        except FileNotFoundError:
            return None

    def write_alignment(self, values: dict[str, Any]) -> None:
        """Store what `load_alignment` returns."""
        write_record(self.alignment_path, values, ALIGNMENT_FORMAT)

    @property
    def has_vocabs(self) -> bool:
        """Whether the vocabularies have been written; this reads none of them."""
        return all(path.is_file() for path in self._vocab_paths())

    def load_vocabs(self) -> VocabPair:
        """Read the vocabularies. Raises UserError if there are none yet, or they do not belong to the weights."""
        if not self.has_vocabs:
            raise UserError(f"{self.path}: this run has no vocabulary yet; resume it with `translate train --resume`")
        src, tgt = self._vocab_paths()
        protos = src.read_bytes(), tgt.read_bytes()
        # Before sentencepiece reads a file that may be damaged.
        if vocabs_of(self.weights_path) not in (None, fingerprint(*protos)):
            names = f"{src}" if src == tgt else f"{src} or {tgt}"
            raise UserError(
                f"{names}: not the vocabulary of {self.weights_path.name} next to it; one of the files is damaged or "
                "belongs to another run: restore it"
            )
        vocab = Vocab(protos[0], str(src))
        return VocabPair(vocab, vocab if src == tgt else Vocab(protos[1], str(tgt)))

    def _vocab_paths(self) -> tuple[Path, Path]:
        joint = self.path / "vocab.model"
        return (joint, joint) if joint.is_file() else (self.path / "vocab.src.model", self.path / "vocab.tgt.model")

    def write_vocabs(self, vocabs: VocabPair) -> None:
        """Write one file for a joint vocabulary, else one per side."""
        if vocabs.joint:
            write_bytes(self.path / "vocab.model", vocabs.src.proto)
            return
        write_bytes(self.path / "vocab.src.model", vocabs.src.proto)
        write_bytes(self.path / "vocab.tgt.model", vocabs.tgt.proto)

    def log(self, text: str) -> None:
        """Write a line to standard error, above the progress bar, and with the time to train.log.

        Control characters are removed: samples of the text are logged, and people read logs in a terminal.
        """
        text = without_controls(text)
        tqdm.write(text, file=sys.stderr)
        with naming_disk_errors(self.log_path), self.log_path.open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    @contextmanager
    def tolerating_disk_errors(self, what: str) -> Iterator[None]:
        """Log the first disk error of a block that writes something optional, and let training continue."""
        try:
            yield
        except (OSError, UserError) as error:
            if what not in self._reported:
                self._reported.add(what)
                self.log(f"warning: training continues without {what}: {error}")

    def append_metrics(self, **values: object) -> None:
        """Append a line to metrics.jsonl."""
        with naming_disk_errors(self.metrics_path), self.metrics_path.open("a", encoding="utf-8") as metrics:
            metrics.write(json.dumps(values) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Read the lines of metrics.jsonl, without a last line that a killed process left incomplete."""
        if not self.metrics_path.exists():
            return []
        lines = self.metrics_path.read_bytes().split(b"\n")[:-1]
        return [self._metrics_line(number, line) for number, line in enumerate(lines, start=1)]

    def forget_metrics_after(self, step: int) -> None:
        """Remove the lines of steps that a resumed training repeats."""
        kept = [json.dumps(line) + "\n" for line in self.metrics() if line["step"] <= step]
        write_text(self.metrics_path, "".join(kept))

    def _metrics_line(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            values = json.loads(line)
            if type(values["step"]) is int and all(
                type(values[name]) in (int, float, NoneType) for name in values.keys() - {"advice"}
            ):
                return values
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            pass
        raise UserError(
            f"{self.metrics_path}: line {number} is damaged; remove this line, or the file, to continue without it"
        )

    def _sweep(self) -> None:
        """Remove what a killed training left half written, but not from folders that others may be writing to."""
        own = (self.path, self.checkpoints_path, self.corpus_path)
        for stale in [*(path for folder in own for path in folder.glob(PARTIAL)), *self.snapshots_path.rglob(PARTIAL)]:
            if stale.is_dir():
                shutil.rmtree(stale)
            else:
                stale.unlink(missing_ok=True)  # it may have been removed with its folder


@contextmanager
def training_alone(run: Run) -> Iterator[None]:
    """Keep other processes from training in the folder during the block. Raises UserError at once if one does.

    The system releases the lock however the process ends. On a file system without locks there is a warning instead.
    """
    lock = None
    try:
        lock = take_lock(run.path / ".lock")
    except Timeout:
        raise UserError(
            f"{run.path}: another process is training in this folder; stop it, or give another --out"
        ) from None
    except OSError:
        print(f"warning: {run.path}: cannot be locked; make sure that no other process trains in it", file=sys.stderr)
    try:
        yield
    finally:
        if lock:
            release_lock(lock)
