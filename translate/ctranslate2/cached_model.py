"""A run's CTranslate2 model, which is converted on first use and again when the run's weights change."""

from __future__ import annotations

import hashlib
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from filelock import FileLock

from translate.config.settings import Config
from translate.ctranslate2.fingerprint import FORMAT, RECORD, Origin, files_digest, settings_digest
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.run.folder import Run
from translate.system.checked_json import read_record, write_record


class ReadyModel(NamedTuple):
    """The path of a model and, if the model is in one, the temporary folder, which is deleted with this object."""

    path: Path
    temporary: TemporaryDirectory[str] | None = None


def ready_model(run: Run, config: Config, vocabs: VocabPair, precision: str) -> ReadyModel:
    """Return RUN/ctranslate2/PRECISION; convert the run first if this model is missing or does not match the run.

    If the run is read-only, the model is written to a temporary folder for this process only. If several processes need
    the model at the same time, one converts it and the others wait. Raises UserError as `export_ctranslate2` does.
    """
    path = run.path / "ctranslate2" / precision
    settings = settings_digest(config, vocabs)
    if _is_current(path, run, settings):
        return ReadyModel(path)
    from translate.ctranslate2.convert import export_ctranslate2  # here, because it imports numpy

    lock = FileLock(path.parent / f".{precision}.lock")
    try:
        path.parent.mkdir(exist_ok=True)
        acquired = lock.acquire()
    except OSError as error:
        problem = f"{path.parent}: cannot be written ({error.strerror})"
        print(f"warning: {problem}; each start will convert the model again", file=sys.stderr)
        temporary = TemporaryDirectory(prefix="translate-ctranslate2-")
        export_ctranslate2(run, Path(temporary.name), precision)
        return ReadyModel(Path(temporary.name), temporary)
    with acquired:
        if not _is_current(path, run, settings):  # another process may have converted it meanwhile
            for old in (path, *path.parent.glob(f".{precision}.*.partial")):  # partial: left by killed processes
                if old.is_dir():
                    shutil.rmtree(old)
                else:
                    old.unlink(missing_ok=True)
            export_ctranslate2(run, path, precision)
    return ReadyModel(path)


def _is_current(path: Path, run: Run, settings: str) -> bool:
    """Return whether the model is intact and was converted from the current weights and settings of the run.

    Weights with the same size and time count as unchanged. If only the time differs, as in a copied run, their content
    is compared.
    """
    try:
        origin = Origin(**read_record(path / RECORD, FORMAT, ""))
        weights = run.weights_path.stat()
        if (origin.settings, origin.num_bytes, origin.files) != (settings, weights.st_size, files_digest(path)):
            return False
    except (OSError, UserError, TypeError):  # missing or damaged, or a folder in place of a file
        return False
    if origin.time_ns != weights.st_mtime_ns:
        if hashlib.sha256(run.weights_path.read_bytes()).hexdigest() != origin.weights:
            return False
        with suppress(UserError, OSError):  # only makes the next start faster
            write_record(path / RECORD, origin._replace(time_ns=weights.st_mtime_ns)._asdict(), FORMAT)
    return True
