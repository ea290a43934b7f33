"""A run's CTranslate2 model, converted on first use and again when the run's weights change."""

from __future__ import annotations

import errno
import hashlib
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from translate.config.settings import Config
from translate.ctranslate2.fingerprint import digest_of_files, read_origin, settings_digest, write_origin
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.run.folder import Run

ABANDONED_SECONDS = 3600


class ReadyModel(NamedTuple):
    """Where the model is, and the temporary folder around it, if any, which is removed with this object."""

    path: Path
    temporary: TemporaryDirectory[str] | None = None


def ready_model(run: Run, config: Config, vocabs: VocabPair, precision: str) -> ReadyModel:
    """Return RUN/ctranslate2/PRECISION, converted if it is missing or has other weights or settings than the run.

    If the run is read-only, the model is put into a temporary folder, for this process alone. Several processes may ask
    at once: each converts, and all use the first model in place. Raises UserError as `export_ctranslate2` does.
    """
    path = run.path / "ctranslate2" / precision
    settings = settings_digest(config, vocabs)
    _sweep(path.parent)
    if _is_current(path, run, settings):
        return ReadyModel(path)
    from translate.ctranslate2.convert import export_ctranslate2  # here, because it imports numpy

    try:
        path.parent.mkdir(exist_ok=True)
        workshop = TemporaryDirectory(dir=path.parent, prefix=f".{precision}.", suffix=".partial")
    except OSError as error:
        print(
            f"warning: {path.parent}: cannot be written ({error.strerror}); each start converts the model again",
            file=sys.stderr,
        )
        elsewhere = TemporaryDirectory(prefix="translate-ctranslate2-")
        export_ctranslate2(run, Path(elsewhere.name), precision)
        return ReadyModel(Path(elsewhere.name), elsewhere)
    with workshop:
        made = Path(workshop.name) / precision
        export_ctranslate2(run, made, precision)
        while not _take_place(made, path):
            if _is_current(path, run, settings):  # another process was faster
                break
            with suppress(FileNotFoundError):  # another process may remove it, too
                path.rename(Path(workshop.name) / "old")
    return ReadyModel(path)


def _sweep(folder: Path) -> None:
    """Remove unfinished models of killed processes; another process may be working on a young one."""
    for unfinished in folder.glob(".*.partial"):
        with suppress(OSError):
            if time.time() - unfinished.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(unfinished)


def _take_place(made: Path, path: Path) -> bool:
    """Move the folder to its place, unless there is one already. Returns whether it was moved."""
    try:
        made.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _is_current(path: Path, run: Run, settings: str) -> bool:
    """Whether the model is intact and was converted from the run as it is now.

    Weights of the same size and time are the same; if these differ, as after copying the run, their content decides.
    """
    origin = read_origin(path)
    try:
        if origin is None or origin.settings != settings or origin.files != digest_of_files(path):
            return False
    except OSError:  # something else than a file is there
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
    with suppress(UserError, OSError):  # only to be faster next time
        write_origin(path, origin._replace(time_ns=status.st_mtime_ns))
    return True
