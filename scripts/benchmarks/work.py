"""The task of all systems: the same text, the same pieces, the same sizes."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from translate.config.settings import Config
from translate.data.parallel_text import ParallelText
from translate.data.readers.lines import read_lines
from translate.data.readers.sides import Side
from translate.data.vocab import Vocab, train_vocab
from translate.errors import UserError

SRC, TGT = "en", "de"
NUM_VALID_LINES = 100  # systems require validation text; none validates during the measurement
MAX_PIECES = 100  # per side, without `</s>`; JoeyNMT needs a limit, so it applies to all


class Job(BaseModel):
    """The input of a child process."""

    model_config = ConfigDict(frozen=True)

    folder: Path  # for files that a child leaves to the next
    device: str
    threads: int


class Work(Job):
    """One measurement. Text and vocabulary are in `folder`; `config` has sizes, batch size and precision."""

    config: Config
    warm_up: int = 0  # updates before the clock starts
    steps: int = 0  # updates that are timed

    def text(self, part: str) -> ParallelText:
        """Return the `train` or the `valid` text."""
        return ParallelText(Side(self.folder / f"{part}.{SRC}", 1), Side(self.folder / f"{part}.{TGT}", 1))

    def vocab(self) -> Vocab:
        """Load the joint vocabulary: unknown 0, start 1, end 2, no padding."""
        return Vocab.load(Path(self.config.vocab.model))


def prepare_folder(folder: Path, data: Path, config: Config) -> Config:
    """Write text and vocabulary for all systems. Returns the settings with their paths.

    data: a folder with train.en and train.de, or train.en.gz and train.de.gz.
    """
    src, tgt = (list(read_lines(text_path(data, f"train.{language}"))) for language in (SRC, TGT))
    return lay_out(folder, {"train": (src, tgt), "valid": (src[:NUM_VALID_LINES], tgt[:NUM_VALID_LINES])}, config)


def lay_out(folder: Path, texts: Mapping[str, tuple[Sequence[str], Sequence[str]]], config: Config) -> Config:
    """Do the same for texts in memory. texts: source lines and target lines of `train` and `valid`."""
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
    """Write lines, each ended by a line feed."""
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="\n")


def say(text: str) -> None:
    """Print progress to standard error."""
    print(text, file=sys.stderr)


def text_path(data: Path, name: str) -> Path:
    """Return the path of a file, plain or .gz. Raises UserError if there is neither."""
    for path in data / name, data / f"{name}.gz":
        if path.is_file():
            return path
    raise UserError(f"{data}: contains neither {name} nor {name}.gz; run scripts/get_multi30k, or give --data FOLDER")
