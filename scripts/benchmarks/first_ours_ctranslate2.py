"""Our `Translator` with CTranslate2 as its engine, for one sentence: RUN DEVICE BEAM-SIZE PRECISION SENTENCE."""

from __future__ import annotations

import sys
from pathlib import Path

from translate.config import changed_search
from translate.ctranslate2_engine import CTranslate2Engine
from translate.decode import Translator
from translate.run import Run


def main() -> None:
    """Print the translation."""
    path, device, beam_size, precision, sentence = sys.argv[1:]
    run = Run.open(Path(path))
    config, vocabs = run.load_config(), run.load_vocabs()
    assert vocabs is not None
    engine = CTranslate2Engine.load(run, config, vocabs, device, precision)
    settings = changed_search(config.decode, {"beam_size": int(beam_size)})
    print(next(Translator(engine, vocabs, config).translations([sentence], settings)).text)


if __name__ == "__main__":
    main()
