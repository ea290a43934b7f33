#!/usr/bin/env python3
"""Write files in every format of this version to tests/data/VERSION/, for the tests of later versions.

python tests/make_format_fixture.py tests/data/0.1.0
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import torch

from translate.alignment.stored import StoredAlignment
from translate.api import load_translator
from translate.attention.selection import EVERYTHING
from translate.config.settings import Config
from translate.config.toml import load_config, to_toml
from translate.report.attention_folder import AttentionWriter
from translate.run.folder import Run
from translate.training.loop import train

TOY = Path(__file__).parents[1] / "data" / "toy"
NUM_LINES = 60
LINES = ["I love apples.", "", "The old tiger is here."]
SETTINGS = {
    "data.valid_pairs": 3,
    "vocab.size": 330,
    "vocab.normalization": "identity",  # the others take 200 kB in a vocabulary
    "model.d_model": 8,
    "model.d_ff": 16,
    "model.num_heads": 2,
    "model.num_encoder_layers": 1,
    "model.num_decoder_layers": 1,
    "train.batch_tokens": 256,
    "train.max_steps": 2,
    "train.learning_rate": 0.03,
    "train.warmup_steps": 1,
    "train.ema_decay": 0.5,
    "train.validate_sentences": 1,
    "train.snapshot_sentences": 0,
    "train.log_every": 1,
    "train.precision": "float32",
    "decode.beam_size": 2,
    "decode.max_length": 6,
}


def main() -> None:
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for language in "en", "fr":
        with (TOY / f"train.{language}").open(encoding="utf-8") as lines:
            (folder / f"train.{language}").write_text("".join(islice(lines, NUM_LINES)), encoding="utf-8")
    os.chdir(folder)  # no file may contain a path of this machine
    config = load_config(None, SETTINGS | {"data.train_src": "train.en", "data.train_tgt": "train.fr"})
    run = Run.create(Path("run"), config)
    train(run, config, torch.device("cpu"))
    run.write_config(with_texts(config, "../train.en", "../train.fr"))
    run.curves_path.unlink()
    aligned = StoredAlignment(0, 1, "argmax", False, None, 0.5, 3, "gold", run.digest_of_weights())
    run.write_alignment(asdict(aligned))
    translator = load_translator(run.path, "cpu")
    with AttentionWriter(Path("maps"), run, translator, EVERYTHING) as writer:
        found = list(writer.add_all(translator.translations(LINES)))
    (Path("maps") / "index.html").unlink()
    Path("settings.toml").write_text(to_toml(with_texts(config, "train.en", "train.fr")), encoding="utf-8")
    translations = [{"source": each.source, "translation": each.text} for each in found]
    Path("expected.json").write_text(json.dumps(translations, indent=1) + "\n", encoding="utf-8")


def with_texts(config: Config, src: str, tgt: str) -> Config:
    """Return the settings with these paths, unresolved."""
    return config.model_copy(update={"data": config.data.model_copy(update={"train_src": src, "train_tgt": tgt})})


main()
