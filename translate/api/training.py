"""`translate.train`: the command `translate train` as a function."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from translate.api.translator import Translator
from translate.api.wording import in_python_words
from translate.decoding.arguments import check_path, check_text, check_type
from translate.errors import UserError
from translate.run.folder import Run
from translate.training.start import start_training

NAMES = {"src": "data.train_src", "tgt": "data.train_tgt", "max_minutes": "train.max_minutes"}


@in_python_words()
def train(
    out: str | Path, arguments: Mapping[str, object], settings: Mapping[str, object] | None, resume: bool, device: str
) -> Translator:
    """Train a run and load it; see `translate.train`. arguments: those that are settings; None if not given."""
    check_path(out, "out")
    check_text(device, "device")
    check_type(resume, "resume", bool)
    if not isinstance(settings, Mapping | None) or not all(isinstance(name, str) for name in settings or ()):
        raise TypeError(f'settings should be a dict such as {{"train.seed": 2}}, not {settings!r}')
    given = dict(settings or {})
    for argument, value in arguments.items():
        name = NAMES.get(argument, f"data.{argument}")
        if value is not None and argument != "max_minutes":
            value = [value] if isinstance(value, str | bytes | Path) or not isinstance(value, Sequence) else list(value)
            for path in value:
                check_path(path, argument)
            value = [str(path) for path in value]
        if value is not None and name in given:
            raise UserError(f"{argument}: settings contains {name}, too; leave out one of them")
        given |= {} if value is None else {name: value}
    given = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    try:
        start_training(Run(Path(out)), None, given, device, resume)
    except SystemExit as end:
        if end.code == 128 + signal.SIGINT:  # the state is saved
            raise KeyboardInterrupt from None
        raise
    return Translator.load(out, device)
