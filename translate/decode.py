"""Lines -> translations, one for one and in order. `Translator` is also the Python API.

An engine does the search. This file knows text, vocabularies and lines; it does not wait for torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from translate.distributed import ALONE, World
from translate.engine import Engine, Hypothesis, Sentence, length_limit
from translate.errors import UserError
from translate.run import Run
from translate.settings import Config, DecodeSettings
from translate.vocab import VocabPair

WINDOW_LINES = 1024


@dataclass(frozen=True)
class Candidate:
    """One translation of a line. score: log-probability / pieces ** length_penalty, `</s>` counted."""

    text: str
    score: float
    pieces: tuple[str, ...]  # without `</s>`


@dataclass(frozen=True)
class Translation:
    """A line and its translations, the best first. An empty line has one, empty."""

    id: int  # the line's number, from 1
    source: str
    translations: tuple[Candidate, ...]
    warnings: tuple[str, ...]
    src_ids: tuple[int, ...]  # the piece ids that were translated, `</s>` last; none for an empty line
    tgt_ids: tuple[int, ...]  # those of the best translation

    @property
    def text(self) -> str:
        """The best translation."""
        return self.translations[0].text


class Translator:
    """An engine with the vocabularies and settings of a run, ready to translate."""

    def __init__(self, engine: Engine, vocabs: VocabPair, config: Config) -> None:
        self.engine = engine
        self.vocabs = vocabs
        self.settings = config.decode
        self.max_pieces = config.data.max_pieces

    @classmethod
    def load(cls, run: str | Path, device: str = "auto") -> Translator:
        """The translator of a run folder. Raises UserError where the folder is no run or the device is not there."""
        folder = Run.open(Path(run))
        config = folder.load_config()
        vocabs = folder.load_vocabs()
        if vocabs is None:
            raise UserError(f"{run}: this run has no vocabulary yet; go on with it by `translate train --resume`")
        from translate.torch_engine import TorchEngine  # in the function, because torch takes a second to import

        return cls(TorchEngine.load([folder], vocabs, device), vocabs, config)

    def translate(self, sentences: Sequence[str]) -> list[str]:
        """The best translation of each sentence, with the run's own decode settings."""
        return [translation.text for translation in self.translations(sentences)]

    def translations(
        self,
        lines: Iterable[str],
        settings: DecodeSettings | None = None,
        num_best: int = 1,
        window_lines: int = WINDOW_LINES,
        world: World = ALONE,
    ) -> Iterator[Translation]:
        """One Translation a line, in order, with up to `num_best` candidates each.

        Lines are read `window_lines` at a time, to be sorted by length and translated together, so the input may be
        endless; with 1, each line is answered before the next is read. The processes of a `world` have to be given the
        same lines, and translate so many each. Raises UserError where `num_best` is more than the beam.
        """
        settings = settings or self.settings
        if num_best > settings.beam_size:
            raise UserError(
                f"{num_best} translations a line were asked for, but the beam holds {settings.beam_size}; "
                f"raise decode.beam_size (--beam-size {num_best})"
            )
        numbered = enumerate(lines, start=1)
        while window := list(itertools.islice(numbered, window_lines * world.size)):
            yield from world.collect(list(self._translate_window(world.share(window), settings, num_best)))

    def _translate_window(
        self, window: Sequence[tuple[int, str]], settings: DecodeSettings, num_best: int
    ) -> Iterator[Translation]:
        rows = self.vocabs.src.encode([line for _, line in window])
        sources = [row[: self.max_pieces] for row in rows]
        full = [i for i, src in enumerate(sources) if src]
        sentences = [Sentence((*sources[i], self.vocabs.src.eos_id)) for i in full]
        found = dict(zip(full, self.engine.search(sentences, settings, num_best), strict=True))
        for i, (number, line) in enumerate(window):
            if i not in found:
                yield Translation(number, line, (Candidate("", 0.0, ()),), (), (), ())
                continue
            best = found[i]
            yield Translation(
                number,
                line,
                tuple(self._candidate(hypothesis) for hypothesis in best),
                self._warnings(len(rows[i]), best[0], settings),
                (*sources[i], self.vocabs.src.eos_id),
                tuple(best[0].pieces),
            )

    def _candidate(self, hypothesis: Hypothesis) -> Candidate:
        pieces = hypothesis.pieces[:-1]
        return Candidate(self.vocabs.tgt.decode(pieces), hypothesis.score, tuple(self.vocabs.tgt.pieces(pieces)))

    def _warnings(self, num_src_pieces: int, best: Hypothesis, settings: DecodeSettings) -> tuple[str, ...]:
        warnings = []
        if num_src_pieces > self.max_pieces:
            warnings.append(
                f"input cut: {num_src_pieces} pieces, and this model reads {self.max_pieces} (data.max_pieces)"
            )
        limit = length_limit(Sentence(range(min(num_src_pieces, self.max_pieces) + 1)), settings)
        if len(best.pieces) == limit:
            warnings.append(f"output ended at its limit of {limit} pieces (decode.max_length_ratio)")
        return tuple(warnings)
