"""Training in two processes that form one group."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.helpers.runs import changed
from translate.config.settings import Config
from translate.config.toml import to_toml

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def two_at_once(*arguments: object) -> subprocess.CompletedProcess[str]:
    """As `two_processes`, in less time: the two are started here, with what torchrun would tell them."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, "-m", "translate", *map(str, arguments)]
    processes = [
        subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT | group | {"RANK": rank, "LOCAL_RANK": rank}
        )
        for rank in ("0", "1")
    ]
    try:
        said = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return subprocess.CompletedProcess(command, max(process.returncode for process in processes), "", "".join(said))


def settings_file(path: Path, config: Config) -> Path:
    path.write_text(to_toml(config), encoding="utf-8")
    return path


def of_one_process(config: Config) -> Config:
    """The settings with which one process does what two do with `config`."""
    train_settings = config.train
    return changed(
        config, "train", batch_tokens=2 * train_settings.batch_tokens, accumulate=2 * train_settings.accumulate
    )
