"""A run's CTranslate2 model, converted on first use and again when the run's weights change."""

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
from translate.ctranslate2.fingerprint import digest_of_files, read_origin, settings_digest, write_origin
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.run.folder import Run


class ReadyModel(NamedTuple):
    """The path of a model, and its temporary folder, if it is in one, which is deleted with this object."""

    path: Path
    temporary: TemporaryDirectory[str] | None = None


def ready_model(run: Run, config: Config, vocabs: VocabPair, precision: str) -> ReadyModel:
    """Return RUN/ctranslate2/PRECISION; convert the run first if the model is missing or does not match it.

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
        lock.acquire()
    except OSError as error:
        print(
            f"warning: {path.parent}: cannot be written ({error.strerror}); each start will convert the model again",
            file=sys.stderr,
        )
        temporary = TemporaryDirectory(prefix="translate-ctranslate2-")
        export_ctranslate2(run, Path(temporary.name), precision)
        return ReadyModel(Path(temporary.name), temporary)
    try:
        if not _is_current(path, run, settings):  # another process may have converted it meanwhile
            for old in (path, *path.parent.glob(f".{precision}.*.partial")):  # partial: left by killed processes
                _remove(old)
            export_ctranslate2(run, path, precision)
    finally:
        lock.release()
    return ReadyModel(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_current(path: Path, run: Run, settings: str) -> bool:
    """Whether the model is intact and was converted from the current weights and settings of the run.

    Weights with the same size and time count as unchanged. If only the time differs, as in a copied run, their content
    is compared.
    """
    origin = read_origin(path)
    try:
        if origin is None or origin.settings != settings or origin.files != digest_of_files(path):
            return False
    except OSError:  # something other than a file is in the way
        return False
    try:
        status = run.weights_path.stat()
    except FileNotFoundError:
        raise UserError(f"{run.weights_path}: no such weights; has training written any yet?") from None
    if (origin.num_bytes, origin.time_ns) == (status.st_size, status.st_mtime_ns):
        return True
    if origin.num_bytes != status.st_size:
        return False
    if hashlib.sha256(run.weights_path.read_bytes()).hexdigest() != origin.weights:
        return False
    with suppress(UserError, OSError):  # only makes the next start faster
        write_origin(path, origin._replace(time_ns=status.st_mtime_ns))
    return True
