"""A run's CTranslate2 model, made on first use and made anew when the run's weights change."""

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
    """Where the model is, and the temporary folder around it, which goes when nothing holds it any more."""

    path: Path
    temporary: TemporaryDirectory[str] | None = None


def ready_model(run: Run, config: Config, vocabs: VocabPair, precision: str) -> ReadyModel:
    """RUN/ctranslate2/PRECISION, made where it is missing or of other weights or settings than the run's.

    In a run that cannot be written to, it is made in a temporary folder, for this process alone. Several processes may
    ask at once: each makes its own, and all use the one that is in place first. Raises UserError as export_ctranslate2
    does.
    """
    path = run.path / "ctranslate2" / precision
    settings = settings_digest(config, vocabs)
    _sweep(path.parent)
    if _is_current(path, run, settings):
        return ReadyModel(path)
    from translate.ctranslate2.convert import export_ctranslate2  # in the function, because it imports numpy

    try:
        path.parent.mkdir(exist_ok=True)
        workshop = TemporaryDirectory(dir=path.parent, prefix=f".{precision}.", suffix=".partial")
    except OSError as error:
        print(
            f"warning: {path.parent}: cannot be written ({error.strerror}); each start makes the model anew",
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
            with suppress(FileNotFoundError):  # another process takes it away, too
                path.rename(Path(workshop.name) / "old")
    return ReadyModel(path)


def _sweep(folder: Path) -> None:
    """Remove what killed processes left half made; what is young may be in the making by another one."""
    for left in folder.glob(".*.partial"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(left)


def _take_place(made: Path, path: Path) -> bool:
    """Move the folder to its place, unless one is there."""
    try:
        made.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _is_current(path: Path, run: Run, settings: str) -> bool:
    """Whether the model was made from the run as it is now.

    Its own files have to be as they were written. Weights of the same size and time are the same; where these differ,
    as after copying the run, their content tells.
    """
    origin = read_origin(path)
    try:
        if origin is None or origin.settings != settings or origin.files != digest_of_files(path):
            return False
    except OSError:  # something that is no file is there
        return False
    try:
        status = run.weights_path.stat()
    except FileNotFoundError:
        raise UserError(f"{run.weights_path}: no such weights; has the training written any yet?") from None
    if (origin.num_bytes, origin.time_ns) == (status.st_size, status.st_mtime_ns):
        return True
    if (
        origin.num_bytes != status.st_size
        or hashlib.sha256(run.weights_path.read_bytes()).hexdigest() != origin.weights
    ):
        return False
    with suppress(UserError, OSError):  # only to be faster next time
        write_origin(path, origin._replace(time_ns=status.st_mtime_ns))
    return True
