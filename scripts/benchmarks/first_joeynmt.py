"""JoeyNMT's command `joeynmt translate`, for one sentence: MODEL-FOLDER DEVICE BEAM-SIZE SENTENCE."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from joeynmt.config import load_config
from joeynmt.prediction import translate

from benchmarks.joeynmt_settings import allow_new_sentencepiece


def main() -> None:
    """Print the translation."""
    folder, device, beam_size, sentence = sys.argv[1:]
    allow_new_sentencepiece()
    settings = load_config(Path(folder) / "config.yaml")
    settings["use_cuda"] = device == "cuda"
    settings["testing"]["beam_size"] = int(beam_size)
    sys.stdin = io.StringIO(sentence + "\n")
    translate(settings)


if __name__ == "__main__":
    main()
