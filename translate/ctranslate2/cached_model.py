"""Cache of a run's CTranslate2 model, which is converted on first use and whenever the run's weights change."""

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
    """Path of a converted model and, if it is temporary, its folder, which is deleted along with this object."""

    path: Path
    temporary: TemporaryDirectory[str] | None = None


def ready_model(run: Run, config: Config, vocabs: VocabPair, precision: str) -> ReadyModel:
    """Return RUN/ctranslate2/PRECISION, converting the run first if this model is missing or out of date.

    If the run is read-only, the model is written to a temporary folder used only by this process. If several processes
    need the model at once, one converts it and the others wait. Raises the same errors as `export_ctranslate2`.
    """
    path = run.path / "ctranslate2" / precision
    settings = settings_digest(config, vocabs)
    if _is_current(path, run, settings):
        return ReadyModel(path)
    from translate.ctranslate2.convert import export_ctranslate2  # imported here because it imports numpy

    lock = FileLock(path.parent / f".{precision}.lock")
    try:
        path.parent.mkdir(exist_ok=True)
        acquired = lock.acquire()
    except OSError as error:
        problem = f"{path.parent}: cannot be written ({error.strerror})"
        print(f"warning: {problem}; the model will be converted again at every start", file=sys.stderr)
        temporary = TemporaryDirectory(prefix="translate-ctranslate2-")
        export_ctranslate2(run, Path(temporary.name), precision)
        return ReadyModel(Path(temporary.name), temporary)
    with acquired:
        if not _is_current(path, run, settings):  # another process may have converted it in the meantime
            for old in (path, *path.parent.glob(f".{precision}.*.partial")):  # killed processes leave partial models
                if old.is_dir():
                    shutil.rmtree(old)
                else:
                    old.unlink(missing_ok=True)
            export_ctranslate2(run, path, precision)
    return ReadyModel(path)


def _is_current(path: Path, run: Run, settings: str) -> bool:
    """Return whether the model is intact and was converted from the run's current weights and settings.

    Weights with the same size and modification time are considered unchanged. If only the time differs, as in a copied
    run, the contents are compared.
    """
    try:
        origin = Origin(**read_record(path / RECORD, FORMAT, ""))
        weights = run.weights_path.stat()
        if (origin.settings, origin.num_bytes, origin.files) != (settings, weights.st_size, files_digest(path)):
            return False
    except (OSError, UserError, TypeError):  # a file is missing or damaged, or is a folder
        return False
    if origin.time_ns != weights.st_mtime_ns:
        if hashlib.sha256(run.weights_path.read_bytes()).hexdigest() != origin.weights:
            return False
        with suppress(UserError, OSError):  # failure only makes the next start slower
            write_record(path / RECORD, origin._replace(time_ns=weights.st_mtime_ns)._asdict(), FORMAT)
    return True
