"""What every system is given to do: the same text, the same pieces, the same sizes."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from translate.config.settings import Config
from translate.data.parallel_text import ParallelText
from translate.data.readers.lines import read_lines
from translate.data.readers.sides import Side
from translate.data.vocab import Vocab, train_vocab
from translate.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
SRC, TGT = "en", "de"
NUM_VALID_LINES = 100  # systems ask for validation text; none is validated while it is measured
MAX_PIECES = 100  # of a side, without its end; JoeyNMT needs the limit, so all have it
NUM_LOG_LINES = 15


class Job(BaseModel):
    """What a child process is given to do."""

    model_config = ConfigDict(frozen=True)

    folder: Path  # where children leave what the next ones need
    device: str
    threads: int


class Work(Job):
    """One measurement. Its text and vocabulary lie in `folder`; sizes, budget and precision are those of `config`."""

    config: Config
    warm_up: int = 0  # updates before the clock starts
    steps: int = 0  # updates that are timed

    def text(self, part: str) -> ParallelText:
        """The `train` or the `valid` text."""
        return ParallelText(Side(self.folder / f"{part}.{SRC}", 1), Side(self.folder / f"{part}.{TGT}", 1))

    def vocab(self) -> Vocab:
        """The joint vocabulary, as our training made it: unknown 0, start 1, end 2, no padding."""
        return Vocab.load(Path(self.config.vocab.model))


def prepare_folder(folder: Path, data: Path, config: Config) -> Config:
    """Lay out text and vocabulary for all systems. Returns the settings with the paths to them.

    data: a folder with train.en and train.de, or train.en.gz and train.de.gz.
    """
    src, tgt = (list(read_lines(text_path(data, f"train.{language}"))) for language in (SRC, TGT))
    return lay_out(folder, {"train": (src, tgt), "valid": (src[:NUM_VALID_LINES], tgt[:NUM_VALID_LINES])}, config)


def lay_out(folder: Path, texts: Mapping[str, tuple[Sequence[str], Sequence[str]]], config: Config) -> Config:
    """The same for a `train` and a `valid` text that are here already, the source lines and the target lines."""
    paths: dict[str, str] = {}
    for part, sides in texts.items():
        for side, language, lines in zip(("src", "tgt"), (SRC, TGT), sides, strict=True):
            path = folder / f"{part}.{language}"
            write_lines(path, lines)
            paths[f"{part}_{side}"] = str(path)
    vocab_path = folder / "vocab.model"
    if config.vocab.model:
        vocab = Vocab.load(Path(config.vocab.model))
    else:
        say("training the vocabulary")
        vocab = train_vocab(lambda: itertools.chain(*texts["train"]), config.vocab, config.train.seed, say)
    vocab_path.write_bytes(vocab.proto)
    tables = config.model_dump()
    tables["data"] |= {**paths, "max_pieces": MAX_PIECES}
    tables["vocab"] |= {"model": str(vocab_path), "size": vocab.size, "joint": True}
    return Config.model_validate(tables)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """A file with these lines, each ended by a line feed."""
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="\n")


def in_child(task: str, job: Job) -> Any:
    """What `benchmarks.TASK(job)` returns in a process of its own: a dictionary, or None. task: `module.function`."""
    job_path, result_path, log_path = (job.folder / name for name in ("job.json", "result.json", "child.log"))
    job_path.write_text(job.model_dump_json(), encoding="utf-8")
    result_path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.child", task, str(job_path), str(result_path)]
    with log_path.open("wb") as log:
        ended = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment(job.threads))
    if not result_path.exists():
        raise UserError(
            "\n".join([f"{task} failed (exit status {ended.returncode}); its last lines:", *_end(log_path)])
        )
    return json.loads(result_path.read_text(encoding="utf-8"))


def environment(threads: int) -> dict[str, str]:
    """For a child process: where our modules are, and how many threads any library may have."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "scripts"), str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr)


def text_path(data: Path, name: str) -> Path:
    """The file, plain or .gz. Raises UserError where neither is there."""
    for path in data / name, data / f"{name}.gz":
        if path.is_file():
            return path
    raise UserError(f"{data}: no {name} or {name}.gz there; run scripts/get_multi30k, or give --data FOLDER")


def _end(log_path: Path) -> list[str]:
    return log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-NUM_LOG_LINES:]
