"""Lines -> translations, one for one and in order. `Translator` is also the Python API."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from translate.batches import cut, pad
from translate.checkpoint import load_weights
from translate.config import Config, DecodeSettings
from translate.device import explaining_memory, pick_device
from translate.distributed import ALONE, World
from translate.errors import UserError
from translate.model import DecoderState, Transformer
from translate.run import Run
from translate.search import Hypothesis, Ids, beam_search
from translate.vocab import VocabPair

WINDOW_LINES = 1024
COUNTED_AT_LEAST = 16  # pieces of a line: however short, its hypotheses take memory
SHORTEST_LIMIT = 10  # pieces that any translation may have


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
    """A trained model with its vocabularies, ready to translate."""

    def __init__(self, model: Transformer, vocabs: VocabPair, config: Config, device: torch.device) -> None:
        self.model = model
        self.vocabs = vocabs
        self.device = device
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
        place = pick_device(device)
        model = build_model(config, vocabs)
        load_weights(folder.weights_path, model)
        return cls(model.to(place).eval(), vocabs, config, place)

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
        found: dict[int, list[Hypothesis]] = {}
        # Longest first: if memory does not suffice, it shows at once.
        by_length = sorted((i for i, src in enumerate(sources) if src), key=lambda i: -len(sources[i]))
        lengths = np.array([max(len(sources[i]) + 1, COUNTED_AT_LEAST) for i in by_length], dtype=np.int32)
        for part in cut(lengths, lengths, settings.batch_tokens):
            batch = by_length[part]
            src_ids = [[*sources[i], self.vocabs.src.eos_id] for i in batch]
            found.update(zip(batch, self._search(src_ids, settings), strict=True))
        for i, (number, line) in enumerate(window):
            if i not in found:
                yield Translation(number, line, (Candidate("", 0.0, ()),), (), (), ())
                continue
            best = found[i][:num_best]
            yield Translation(
                number,
                line,
                tuple(self._candidate(hypothesis) for hypothesis in best),
                self._warnings(len(rows[i]), best[0], settings),
                (*sources[i], self.vocabs.src.eos_id),
                tuple(best[0].pieces),
            )

    def _search(self, src_ids: list[list[int]], settings: DecodeSettings) -> list[list[Hypothesis]]:
        src, src_mask = pad(src_ids)
        limits = [_length_limit(len(row) - 1, settings) for row in src_ids]
        advice = f"lower decode.batch_tokens ({settings.batch_tokens}) in the run's config.toml, or --beam-size"
        with torch.inference_mode(), explaining_memory(advice):
            state = self.model.encode(src.to(self.device), src_mask.to(self.device))
            return beam_search(
                self._step,
                state,
                torch.tensor(limits, device=self.device),
                settings,
                Ids(self.vocabs.tgt.bos_id, self.vocabs.tgt.eos_id),
            )

    def _step(self, pieces: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """(N,) pieces -> (N, V) log-probabilities of the next."""
        logits, state = self.model.decode(pieces[:, None], state)
        return logits[:, -1].float().log_softmax(dim=-1), state

    def _candidate(self, hypothesis: Hypothesis) -> Candidate:
        pieces = hypothesis.pieces[:-1]
        return Candidate(self.vocabs.tgt.decode(pieces), hypothesis.score, tuple(self.vocabs.tgt.pieces(pieces)))

    def _warnings(self, num_src_pieces: int, best: Hypothesis, settings: DecodeSettings) -> tuple[str, ...]:
        warnings = []
        if num_src_pieces > self.max_pieces:
            warnings.append(
                f"input cut: {num_src_pieces} pieces, and this model reads {self.max_pieces} (data.max_pieces)"
            )
        limit = _length_limit(min(num_src_pieces, self.max_pieces), settings)
        if len(best.pieces) == limit:
            warnings.append(f"output ended at its limit of {limit} pieces (decode.max_length_ratio)")
        return tuple(warnings)


def build_model(config: Config, vocabs: VocabPair) -> Transformer:
    """A fresh model of the shape that the settings and the vocabularies ask for."""
    return Transformer(config.model, vocabs.src.size, vocabs.tgt.size, vocabs.joint)


def _length_limit(num_src_pieces: int, settings: DecodeSettings) -> int:
    return int(settings.max_length_ratio * num_src_pieces) + SHORTEST_LIMIT
