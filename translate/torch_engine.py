"""Our own engine: beam search over the PyTorch model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from translate.batches import cut, pad
from translate.checkpoint import load_weights
from translate.device import describe, explaining_memory, pick_device
from translate.engine import Hypothesis, Pieces, Sentence
from translate.model import Transformer
from translate.rules import Rules
from translate.run import Run
from translate.search import Ids, Logits, beam_search
from translate.settings import Config, DecodeSettings
from translate.state import DecoderState
from translate.vocab import VocabPair

COUNTED_AT_LEAST = 16  # pieces of a line: however short, its hypotheses take memory


class TorchEngine:
    """A trained model on its device."""

    def __init__(self, model: Transformer, vocabs: VocabPair, device: torch.device) -> None:
        self.model = model
        self.device = device
        self.description = describe(device)
        self._ids = Ids(vocabs.tgt.bos_id, vocabs.tgt.eos_id)
        self._scratch = model.output.weight.new_empty(0, model.output.out_features).detach()

    @classmethod
    def load(cls, run: Run, config: Config, vocabs: VocabPair, device: str = "auto") -> TorchEngine:
        """Raises UserError where the weights are missing or damaged, or the device is not there."""
        place = pick_device(device)
        model = build_model(config, vocabs)
        load_weights(run.weights_path, model)
        return cls(model.to(place).eval(), vocabs, place)

    def search(self, sentences: Sequence[Sentence], settings: DecodeSettings, num_best: int) -> list[list[Hypothesis]]:
        """See Engine."""
        # Longest first: if memory does not suffice, it shows at once.
        order = sorted(range(len(sentences)), key=lambda i: -len(sentences[i].src))
        lengths = np.array([max(len(sentences[i].src), COUNTED_AT_LEAST) for i in order], dtype=np.int32)
        found: dict[int, list[Hypothesis]] = {}
        for part in cut(lengths, lengths, settings.batch_tokens):
            batch = [sentences[i] for i in order[part]]
            found.update(zip(order[part], self._search(batch, settings), strict=True))
        return [found[i][:num_best] for i in range(len(sentences))]

    def score(self, pairs: Sequence[tuple[Pieces, Pieces]]) -> list[list[float]]:
        """See Engine."""
        src, src_mask = pad([src for src, _ in pairs])
        tgt_out, tgt_mask = pad([tgt for _, tgt in pairs])
        start = torch.full((len(pairs), 1), self._ids.bos)
        tgt_in = torch.cat([start, tgt_out[:, :-1]], dim=1)
        with torch.inference_mode():
            logits = self.model(src.to(self.device), src_mask.to(self.device), tgt_in.to(self.device))
            losses = F.cross_entropy(logits.float().flatten(0, 1), tgt_out.to(self.device).flatten(), reduction="none")
        rows = losses.neg().view(tgt_out.shape).cpu()
        return [row[mask].tolist() for row, mask in zip(rows, tgt_mask, strict=True)]

    def _search(self, sentences: Sequence[Sentence], settings: DecodeSettings) -> list[list[Hypothesis]]:
        src, src_mask = pad([sentence.src for sentence in sentences])
        advice = f"lower decode.batch_tokens ({settings.batch_tokens}) in the run's config.toml, or --beam-size"
        with torch.inference_mode(), explaining_memory(advice):
            rules = Rules.of(sentences, settings, self._ids.eos, self.device)
            state = self.model.encode(src.to(self.device), src_mask.to(self.device))
            return beam_search(self._step, _State(state), rules, settings.beam_size, settings.length_penalty, self._ids)

    def _step(self, pieces: Tensor, state: _State) -> tuple[Logits, _State]:
        """(B, K) last pieces -> logits of the next."""
        features, after = self.model.step(pieces, state.decoder)
        return partial(self._logits, features), _State(after)

    def _logits(self, features: Tensor, part: slice) -> Tensor:
        """(B, K, D) -> (B', K, V) in memory that is used again: fetching so much anew takes longer than the product."""
        rows = features[part].flatten(0, 1)
        weight = self.model.output.weight
        if len(rows) > len(self._scratch):
            self._scratch = weight.new_empty(len(rows), len(weight))
        logits = torch.mm(rows, weight.t(), out=self._scratch[: len(rows)])
        return logits.view(-1, features.size(1), len(weight))


@dataclass(frozen=True)
class _State:
    decoder: DecoderState

    def select(self, sentences: Tensor) -> _State:
        return _State(self.decoder.select(sentences))

    def follow(self, beams: Tensor) -> _State:
        return _State(self.decoder.follow(beams))

    def penalty(self) -> Tensor | None:
        return None


def build_model(config: Config, vocabs: VocabPair) -> Transformer:
    """A fresh model of the shape that the settings and the vocabularies ask for."""
    return Transformer(config.model, vocabs.src.size, vocabs.tgt.size, vocabs.joint)
