"""Write the figures of metrics.jsonl as TensorBoard events, too, if `train.tensorboard` is set.

It is off by default: TensorBoard takes as long to import as PyTorch, and the run has its figures and curves without it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from shlex import quote
from typing import Any

from translate.errors import UserError
from translate.run.folder import Run

FOLDER = "tensorboard"  # in the run
EVENTS = "events.out.tfevents.*"
WHAT = "TensorBoard events"
MISSING = "train.tensorboard = true: TensorBoard is not installed; pip install tensorboard, or set it to false"


def check_tensorboard(is_on: bool) -> None:
    """Raise UserError if TensorBoard is to be used and is not installed."""
    if is_on and find_spec("tensorboard") is None:
        raise UserError(MISSING)


@contextmanager
def tensorboard_events(run: Run, is_on: bool) -> Iterator[None]:
    """Write each line added to metrics.jsonl during the block as events in RUN/tensorboard, unless it is off.

    The events of the lines so far are written again in place of the earlier ones, so a resumed run has each line once,
    and also those from before the setting was on.
    """
    if not is_on:
        yield
        return
    writers: list[Any] = []
    with run.tolerating_disk_errors(WHAT):
        writers.append(_writer_of(run))
        run.log(f"TensorBoard: tensorboard --logdir {quote(str(run.path / FOLDER))}")

    def follow(line: Mapping[str, Any]) -> None:
        for writer in writers:
            with run.tolerating_disk_errors(WHAT):
                _add(writer, line, time.time())
                writer.flush()

    run.followers.append(follow)
    try:
        yield
    finally:
        run.followers.remove(follow)
        for writer in writers:
            with run.tolerating_disk_errors(WHAT):
                writer.close()


def _writer_of(run: Run) -> Any:
    """Return a writer of events, after the lines so far, in place of the earlier events."""
    from torch.utils.tensorboard import SummaryWriter  # imported here because it is slow, and optional

    for earlier in (run.path / FOLDER).glob(EVENTS):
        earlier.unlink()
    writer = SummaryWriter(str(run.path / FOLDER))
    lines, now = run.metrics(), time.time()
    for line in lines:
        _add(writer, line, now + 60 * (line.get("minutes", 0) - lines[-1].get("minutes", 0)))
    writer.flush()
    return writer


def _add(writer: Any, line: Mapping[str, Any], seconds: float) -> None:
    """Write the figures of a line of metrics.jsonl. seconds: time of the line, since 1970."""
    for name, value in line.items():
        if name != "step" and isinstance(value, int | float):
            writer.add_scalar(name, value, line["step"], walltime=seconds)
