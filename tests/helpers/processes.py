"""Commands in processes that are forked from one with PyTorch imported, which takes longer than most tests."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Lock
from typing import IO, Any

from tests.helpers.runs import changed, draw_quickly, sync_nothing
from translate import __main__ as entry_point
from translate.config.settings import Config
from translate.config.toml import to_toml
from translate.training import log as training_log

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
LATE = ["torch.distributed.rendezvous", "torch._dynamo"]  # what groups import when they form, which takes a second
# What commands import only when they are called, because a user calls one.
USED = ["api.translator", "commands.decode_io", "commands.train", "decoding.torch_engine", "training.loop"]
# The process that is forked computes nothing, so it has no threads.
FORKED = multiprocessing.get_context("forkserver")
PRELOADED = ["tests.helpers.processes", *(f"translate.{name}" for name in USED), "sacrebleu", *LATE]
FORKED.set_forkserver_preload(PRELOADED)


LOCK = Lock()  # two threads that look for the end of one process would disturb each other


class Forked:
    """A function in a process of its own, with the interface of subprocess.Popen. It draws no curves and syncs nothing.

    Both outputs go to files, which can be given.
    """

    def __init__(
        self,
        function: Callable[..., object],
        *arguments: object,
        stdout: IO[Any] | None = None,
        stderr: IO[Any] | None = None,
    ) -> None:
        files = [given or new_file() for given in (stdout, stderr)]
        self.stdout, self.stderr = files
        work = [file.name for file in files], function, *arguments
        self._process = FORKED.Process(target=_work, args=work)
        with LOCK:
            self._process.start()
        assert self._process.pid
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while the command runs."""
        with LOCK:
            return self._process.exitcode

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def wait(self, timeout: float = 120) -> int:
        """Return the exit status after the end. Raises subprocess.TimeoutExpired."""
        end = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("translate", timeout)
            time.sleep(0.01)
        return status

    def communicate(self, timeout: float = 120) -> tuple[str, str]:
        """Wait for the end, and return what the command wrote to both outputs."""
        try:
            self.wait(timeout)
        finally:
            self.kill()
        texts = []
        for file in self.stdout, self.stderr:
            file.seek(0)
            texts.append(file.read().decode())
        return texts[0], texts[1]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def new_file() -> IO[bytes]:
    """Return a file that is deleted with the object."""
    return NamedTemporaryFile()


def _work(outputs: list[str], function: Callable[..., object], *arguments: object) -> None:
    for number, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    training_log.save_curves = draw_quickly
    os.fsync = sync_nothing
    function(*arguments)


class Command(Forked):
    """`translate ARGUMENTS`."""

    def __init__(self, *arguments: object, env: Mapping[str, str] | None = None, **outputs: IO[Any]) -> None:
        super().__init__(_command, [*map(str, arguments)], dict(env or {}), **outputs)


def _command(arguments: list[str], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    sys.argv = ["translate", *arguments]
    entry_point.main()


def two_at_once(*arguments: object) -> subprocess.CompletedProcess[str]:
    """As torchrun, in less time: the two are started here, with what torchrun would tell them."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    two = [Command(*arguments, env=group | {"RANK": rank, "LOCAL_RANK": rank}) for rank in ("0", "1")]
    try:
        said = [command.communicate()[1] for command in two]
    finally:
        for command in two:
            command.kill()
    return subprocess.CompletedProcess([], max(command.wait() for command in two), "", "".join(said))


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that have not been waited for, in order of their numbers."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)  # fails if none
    return sorted(map(int, found.stdout.split()))


def settings_file(path: Path, config: Config) -> Path:
    path.write_text(to_toml(config), encoding="utf-8")
    return path


def of_one_process(config: Config) -> Config:
    """The settings with which one process does what two do with `config`."""
    train_settings = config.train
    return changed(
        config, "train", batch_tokens=2 * train_settings.batch_tokens, accumulate=2 * train_settings.accumulate
    )
