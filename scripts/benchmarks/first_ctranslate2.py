"""What a user of CTranslate2 runs for one sentence: MODEL-FOLDER DEVICE BEAM-SIZE SENTENCE."""

from __future__ import annotations

import sys
from pathlib import Path

import sentencepiece

from translate.ctranslate2 import import_ctranslate2


def main() -> None:
    """Print the translation."""
    folder, device, beam_size, sentence = sys.argv[1:]
    vocab = sentencepiece.SentencePieceProcessor(model_file=str(Path(folder) / "vocab.model"))
    translator = import_ctranslate2().Translator(folder, device=device)  # without torch, which it does not need
    pieces = [*vocab.encode(sentence, out_type=str), "</s>"]
    print(vocab.decode(translator.translate_batch([pieces], beam_size=int(beam_size))[0].hypotheses[0]))


if __name__ == "__main__":
    main()
