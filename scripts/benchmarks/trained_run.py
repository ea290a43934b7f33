"""The default run of `scripts/bench decode`: trained once and kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.child import ROOT
from benchmarks.work import SRC, TGT, say, text_path
from translate.errors import UserError
from translate.run.folder import Run

# Transformers has sinusoidal positions only.
SETTINGS = """
    vocab.size=8000 model.d_model=256 model.d_ff=1024 model.num_heads=4 model.num_encoder_layers=3
    model.num_decoder_layers=3 model.dropout=0.25 model.positions=sinusoidal train.batch_tokens=2048
    train.max_steps=2200 train.warmup_steps=500 train.learning_rate=0.002 train.schedule=cosine
    train.validate_every=1100 train.validate_sentences=100
"""


def trained_run(path: Path, data: Path) -> Run:
    """Open the run at `path`, or train it on Multi30k first: about ten minutes on two CPU cores.

    Interrupted training is resumed. Raises UserError if training fails.
    """
    if not path.exists():
        unfinished = path.with_name(f"{path.name}.unfinished")
        say(f"{path}: does not exist yet; training it once")
        command = [sys.executable, "-m", "translate", "train", "--out", str(unfinished)]
        if unfinished.exists():
            command += ["--resume"]
        else:
            for part, name in ("", "train"), ("valid-", "val"):
                for side, language in ("src", SRC), ("tgt", TGT):
                    command += [f"--{part}{side}", str(text_path(data, f"{name}.{language}").resolve())]
            for setting in SETTINGS.split():
                command += ["--set", setting]
        if subprocess.run(command, cwd=ROOT).returncode:
            raise UserError(f"{unfinished}: training failed; run the command again to resume it")
        unfinished.rename(path)
    return Run.open(path)
