"""The run folder: where each file of a training lies, and what is written to it during training."""

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

from tqdm import tqdm

from translate.config.settings import Config
from translate.config.toml import differences, is_frozen, load_config, to_toml
from translate.data.vocab import Vocab, VocabPair, fingerprint
from translate.errors import UserError
from translate.run.weights import vocabs_of
from translate.system.checked_json import read_record, write_record
from translate.system.files import naming_disk_errors, write_bytes, write_text
from translate.system.terminal_text import without_controls

ALIGNMENT_FORMAT = 2  # of alignment.json
PARTIAL = ".*.partial"  # what a process was writing when it was killed


class Run:
    """A folder that `translate train` made. It holds all that decoding needs: copy it elsewhere and decode."""

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
        self.probes_path = path / "probes"
        self._spared: set[str] = set()

    @classmethod
    def create(cls, path: Path, config: Config) -> Run:
        """Make the folder and write the settings to it. Raises UserError where something is already there."""
        run = cls(path)
        run.refuse_used()
        path.mkdir(parents=True, exist_ok=True)
        run._sweep()
        run.write_config(config)
        return run

    @classmethod
    def resume(cls, path: Path, config: Config) -> Run:
        """Open the folder to go on with it under `config`. Raises UserError where a setting changed that must not."""
        run = cls.open(path)
        changed = differences(run.load_config(), config)
        if frozen := [change for name, change in changed.items() if is_frozen(name)]:
            raise UserError(f"{path}: began with {', '.join(frozen)}; keep that to resume, or start a new run")
        run._sweep()
        for change in changed.values():
            run.log(f"from here on, other than before: {change}")
        return run

    def refuse_used(self) -> None:
        """Raises UserError where something is already at the folder's place, but for files half written."""
        path = self.path
        if path.exists() and (not path.is_dir() or set(path.iterdir()) - set(path.glob(PARTIAL))):
            raise UserError(f"{path}: already there; add --resume to go on with it, or give another --out")

    def discard_if_unused(self) -> None:
        """Remove the folder where training never got to its first step, so that a mended command can use it."""
        if not self.metrics_path.exists():
            shutil.rmtree(self.path, ignore_errors=True)

    @classmethod
    def open(cls, path: Path) -> Run:
        """Raises UserError where `path` is not a run folder."""
        run = cls(path)
        if not run.config_path.is_file():
            reason = "no such folder" if not path.exists() else "not a run folder (it has no config.toml)"
            raise UserError(f"{path}: {reason}; give a folder that `translate train` wrote")
        return run

    def load_config(self) -> Config:
        """All settings of the run."""
        return load_config(self.config_path)

    def write_config(self, config: Config) -> None:
        write_text(self.config_path, "# All settings of this run.\n\n" + to_toml(config))

    def digest_of_weights(self) -> str:
        """SHA-256 of the weights to use. Raises UserError where there are none yet."""
        try:
            with self.weights_path.open("rb") as weights:
                return hashlib.file_digest(weights, "sha256").hexdigest()
        except FileNotFoundError:
            raise UserError(f"{self.weights_path}: no such weights; has the training written any yet?") from None

    def load_alignment(self) -> dict[str, Any] | None:
        """What the model is known to align best by (`translate align --store`), if that was stored."""
        try:
            return read_record(
                self.alignment_path, ALIGNMENT_FORMAT, "store it again by `translate align --store`, or remove it"
            )
        except FileNotFoundError:
            return None

    def write_alignment(self, values: dict[str, Any]) -> None:
        """Keep what `load_alignment` then returns."""
        write_record(self.alignment_path, values, ALIGNMENT_FORMAT)

    def load_vocabs(self) -> VocabPair | None:
        """The vocabularies, or None where the run has none yet. Raises UserError where they are not the weights'."""
        joint, src, tgt = (self.path / name for name in ("vocab.model", "vocab.src.model", "vocab.tgt.model"))
        if joint.is_file():
            src = tgt = joint
        if not (src.is_file() and tgt.is_file()):
            return None
        protos = src.read_bytes(), tgt.read_bytes()
        # Before sentencepiece looks at a file that may be damaged.
        if vocabs_of(self.weights_path) not in (None, fingerprint(*protos)):
            names = f"{src}" if src == tgt else f"{src} or {tgt}"
            raise UserError(
                f"{names}: not the vocabulary of {self.weights_path.name} beside it; one of the files is damaged or of "
                "another run: restore it"
            )
        vocab = Vocab(protos[0], str(src))
        return VocabPair(vocab, vocab if src == tgt else Vocab(protos[1], str(tgt)))

    def write_vocabs(self, vocabs: VocabPair) -> None:
        """One file for a joint vocabulary, else one a side."""
        if vocabs.joint:
            write_bytes(self.path / "vocab.model", vocabs.src.proto)
            return
        write_bytes(self.path / "vocab.src.model", vocabs.src.proto)
        write_bytes(self.path / "vocab.tgt.model", vocabs.tgt.proto)

    def log(self, text: str) -> None:
        """Say it on standard error, beside the progress bar, and in train.log with the time.

        Neither gets control characters: samples of the text are told here, and a log is read in a terminal.
        """
        text = without_controls(text)
        tqdm.write(text, file=sys.stderr)
        with naming_disk_errors(self.log_path), self.log_path.open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    @contextmanager
    def tolerating_disk_errors(self, what: str) -> Iterator[None]:
        """Within the block, which writes something extra, what the disk refuses is logged, once, and ends nothing."""
        try:
            yield
        except (OSError, UserError) as error:
            if what not in self._spared:
                self._spared.add(what)
                self.log(f"warning: training goes on without {what}: {error}")

    def append_metrics(self, **values: object) -> None:
        """One more line of metrics.jsonl."""
        with naming_disk_errors(self.metrics_path), self.metrics_path.open("a", encoding="utf-8") as metrics:
            metrics.write(json.dumps(values) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, a dictionary each, but for a last line that was cut off when a process died."""
        if not self.metrics_path.exists():
            return []
        lines = self.metrics_path.read_bytes().split(b"\n")[:-1]
        return [self._metrics_line(number, line) for number, line in enumerate(lines, start=1)]

    def forget_metrics_after(self, step: int) -> None:
        """Take back the lines of steps that a resumed training does again."""
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
            f"{self.metrics_path}: line {number} is damaged; remove that line, or the file, to go on without"
        )

    def _sweep(self) -> None:
        """Remove what a killed training was writing. Folders that others may be writing to are let be."""
        own = (self.path, self.checkpoints_path, self.corpus_path)
        for stale in [*(path for folder in own for path in folder.glob(PARTIAL)), *self.probes_path.rglob(PARTIAL)]:
            if stale.is_dir():
                shutil.rmtree(stale)
            else:
                stale.unlink(missing_ok=True)  # it may have gone with its folder


@contextmanager
def training_alone(run: Run) -> Iterator[None]:
    """Within the block no other process trains in the folder. Raises UserError at once where one does.

    It is train.log that is locked, so that there is no file for this alone. The system lets go of it however the
    process ends. Where a file system knows no locks, there is a warning instead.
    """
    with run.log_path.open("a") as log:
        try:
            import fcntl

            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{run.path}: another training is going on in this folder; stop it, or give another --out"
            ) from None
        except (OSError, ImportError):  # no locks in this file system, or on Windows
            warning = f"warning: {run.path}: cannot be locked here; see to it that no other training uses it"
            print(warning, file=sys.stderr)
        yield
