"""Cache of a run's CTranslate2 model, which is converted on first use and whenever the run's weights change."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from filelock import FileLock

from translate.config.settings import Config
from translate.ctranslate2.fingerprint import files_digest, read_origin, settings_digest
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.run.folder import Run
from translate.system.terminal_text import print_message


class ReadyModel(NamedTuple):
    """A converted model. A temporary model also has a folder object, whose deletion removes the files."""

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
        print_message(f"warning: {problem}; the model will be converted again at every start")
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

    All contents are compared, because weights of the same size may also have the same modification time (`cp -p`).
    """
    try:
        origin = read_origin(path)
        return origin.settings == settings and origin[1:] == (run.digest_of_weights(), files_digest(path))
    except (OSError, UserError):  # a file is missing or damaged, or is a folder
        return False
