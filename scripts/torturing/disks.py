"""Disks that are full, broken, read-only or gone: a line that says so, and afterwards nothing is lost."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from torturing.children import Ended, run
from torturing.disk_faults import Call, failing
from torturing.judgement import FindingError, Result, check_complaint, check_end, found
from torturing.kills import check_no_litter, next_command
from torturing.run_state import differences, state_of
from torturing.stage import Decoding, Stage, Training

OLD_OUTPUT = b"what stood here before\n"
BROKEN = (errno.ENOSPC, errno.EIO, errno.EDQUOT)
CLOSED = (*BROKEN, errno.EROFS, errno.EACCES)  # what only a call with a name can meet, too
REAL_SHARE = 0.2  # of the trials are on small disks of their own, where that is allowed
SMALL, LARGE = (16, 1000), 64_000  # KiB


def trial(stage: Stage, folder: Path, rng: random.Random) -> Result:
    """A fault of the disk that a command writes to. Raises FindingError."""
    disk = folder / "disk"
    disk.mkdir()
    if rng.random() < REAL_SHARE:
        training = rng.choice(stage.trainings)
        if rng.random() < 0.3:
            return _vanishing(training, disk, rng)
        if may_mount(folder):
            return _real(training, disk, rng)
    if rng.random() < 0.7:
        return _train(rng.choice(stage.trainings), disk, rng)
    return _decode(stage, rng.choice(stage.decodings), disk, rng)


def may_mount(folder: Path) -> bool:
    """Whether this process may mount disks in memory."""
    place = folder / "mount"
    place.mkdir()
    if shutil.which("mount") is None or not _mount("-t", "tmpfs", "-o", "size=16k", "tmpfs", str(place)):
        return False
    _unmount(place)
    return True


def _train(training: Training, disk: Path, rng: random.Random) -> Result:
    path = disk / "run"
    call, around = _fault(training, disk, rng)
    ended = run(replace(next_command(training, path), around=around), disk.parent)
    _check_told(ended, disk)
    _check_whole(training, path, f"{call} failed")
    return Result(int(_notes(disk).exists()))


def _decode(stage: Stage, decoding: Decoding, disk: Path, rng: random.Random) -> Result:
    output = disk / "output"
    output.write_bytes(OLD_OUTPUT)
    command = stage.decode(stage.run, output, decoding.options)
    call, around = _fault(decoding, disk, rng)
    ended = run(replace(command, around=around), disk.parent)
    _check_told(ended, disk)
    if ended.status == 2 and output.read_bytes() not in (OLD_OUTPUT, decoding.output):
        raise found(ended, f"{output.name} is neither what it was nor whole")
    again = run(replace(command, arguments=(*command.arguments, "--resume")), disk.parent)
    check_end(again, statuses=(0,))
    if output.read_bytes() != decoding.output:
        raise found(again, f"after {call} failed another output than without")
    return Result(int(_notes(disk).exists()))


def _fault(
    whole: Training | Decoding, disk: Path, rng: random.Random
) -> tuple[str, Callable[[], AbstractContextManager[None]]]:
    """A call, by chance, that is going to fail: in words, and what to run the command in."""
    call = rng.choice([call for call, count in whole.calls.items() if count])
    number = rng.choice(BROKEN if call in ("write", "sync") else CLOSED)
    first, lasting = rng.randint(1, whole.calls[call]), rng.random() < 0.6
    words = f"{call} {first}{' and all later ones' * lasting} ({errno.errorcode[number]})"
    return words, partial(_failing, disk, call, first, number, lasting)


@contextmanager
def _failing(disk: Path, call: Call, first: int, number: int, lasting: bool) -> Iterator[None]:
    with failing(disk, call, first, number, lasting) as faults:
        try:
            yield
        finally:
            if faults.has_failed:
                _notes(disk).touch()


def _notes(disk: Path) -> Path:
    """Is there when a call has failed."""
    return disk.parent / "failed"


def _check_told(ended: Ended, disk: Path) -> None:
    """Raise FindingError unless the command ended well all the same, or with one line that names a path on the disk."""
    check_end(ended)
    if ended.status == 2:
        check_complaint(ended, str(disk))


def _check_whole(training: Training, path: Path, what: str) -> None:
    """Go on, on a sound disk. Raises FindingError where the training does not end as if nothing had happened."""
    check_end(run(next_command(training, path), path.parent.parent), statuses=(0,))
    if other := differences(state_of(path), training.state):
        raise FindingError(f"{training.name}: after {what} not as without: {', '.join(other[:4])}")
    check_no_litter(path)


def _vanishing(training: Training, disk: Path, rng: random.Random) -> Result:
    """The folder is removed while the training goes on."""
    moment = rng.uniform(0, training.seconds)
    with _later(moment, partial(shutil.rmtree, disk, ignore_errors=True)):
        ended = run(next_command(training, disk / "run"), disk.parent)
    _check_told(ended, disk)
    return Result(1)


def _real(training: Training, disk: Path, rng: random.Random) -> Result:
    """A disk too small, or one that becomes read-only on the way; mended, the training goes on."""
    is_small = rng.random() < 0.7
    size = rng.randint(*SMALL) if is_small else LARGE
    if not _mount("-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)):
        raise FindingError(f"could not mount {size} KiB at {disk}")
    try:
        path = disk / "run"
        closing = nullcontext() if is_small else _later(rng.uniform(0, training.seconds), partial(_close, disk))
        with closing:
            ended = run(next_command(training, path), disk.parent)
        _check_told(ended, disk)
        _mount("-o", f"remount,rw,size={LARGE}k", str(disk))
        _check_whole(training, path, f"a disk of {size} KiB" if is_small else "a disk that became read-only")
    finally:
        _unmount(disk)
    return Result(1)


def _close(disk: Path) -> None:
    """Make it read-only, which is refused while a file is open for writing."""
    for _ in range(200):
        if _mount("-o", "remount,ro", str(disk)):
            return
        time.sleep(0.005)


@contextmanager
def _later(seconds: float, action: Callable[[], object]) -> Iterator[None]:
    """Do something a while after now, beside the block."""
    pid = os.fork()
    if not pid:
        try:
            time.sleep(seconds)
            action()
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.waitpid(pid, 0)


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


def _unmount(place: Path) -> None:
    subprocess.run(["umount", "--lazy", str(place)], capture_output=True, check=False)
