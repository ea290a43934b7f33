"""Cache of a run's CTranslate2 model, which is converted on first use and whenever the run's weights change."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from filelock import FileLock

from translate.config.settings import Config
from translate.ctranslate2.fingerprint import Origin, files_digest, read_origin, settings_digest
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.run.folder import Run
from translate.system.terminal_text import print_message


class ReadyModel(NamedTuple):
    """A converted model. A temporary model also has a folder object, whose deletion removes the files."""

    path: Path
    temporary: TemporaryDirectory[str] | None = None


def start_check(run: Run, config: Config, vocabs: VocabPair, precision: str) -> Future[bool]:
    """Start to compare the run with RUN/ctranslate2/PRECISION, for `ready_model`; other things can be loaded meanwhile.

    Hashing takes 20 ms for 30 MB of weights, and as long for the model. Python runs while both are hashed in threads.
    """
    pool = ThreadPoolExecutor(2)
    weights = pool.submit(run.digest_of_weights)
    path, settings = run.path / "ctranslate2" / precision, settings_digest(config, vocabs)
    is_current = pool.submit(_is_current, path, settings, weights.result)
    pool.shutdown(wait=False)
    return is_current


def ready_model(
    run: Run, config: Config, vocabs: VocabPair, precision: str, check: Future[bool] | None = None
) -> ReadyModel:
    """Return RUN/ctranslate2/PRECISION, converting the run first if this model is missing or out of date.

    check: what `start_check` returned for the same arguments, if it was called.

    If the run is read-only, the model is written to a temporary folder used only by this process. If several processes
    need the model at once, one converts it and the others wait. Raises the same errors as `export_ctranslate2`.
    """
    path = run.path / "ctranslate2" / precision
    if (check or start_check(run, config, vocabs, precision)).result():
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
        # Another process may have converted it in the meantime.
        if not _is_current(path, settings_digest(config, vocabs), run.digest_of_weights):
            for old in (path, *path.parent.glob(f".{precision}.*.partial")):  # killed processes leave partial models
                if old.is_dir():
                    shutil.rmtree(old)
                else:
                    old.unlink(missing_ok=True)
            export_ctranslate2(run, path, precision)
    return ReadyModel(path)


def _is_current(path: Path, settings: str, digest_of_weights: Callable[[], str]) -> bool:
    """Return whether the model is intact and was converted from the run's current weights and settings.

    All contents are compared, because weights of the same size may also have the same modification time (`cp -p`).
    """
    try:
        origin = read_origin(path)
        return origin.settings == settings and origin == Origin(settings, digest_of_weights(), files_digest(path))
    except (OSError, UserError):  # a file is missing or damaged, or is a folder
        return False
