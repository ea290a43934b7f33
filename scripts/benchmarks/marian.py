"""Hugging Face's Marian model, untrained, and what a plain PyTorch loop around it needs: pairs, batches, the loss.

What Marian sets by itself stays: no dropout inside the feed-forward layers, so that it draws fewer masks than we do.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import MarianConfig, MarianMTModel

from translate.config.settings import Config, TrainSettings
from translate.data.parallel_text import Pair
from translate.data.vocab import Vocab
from translate.training.optimizer import learning_rate

MAX_POSITIONS = 256  # pieces of a side, with its end
EncodedPair = tuple[list[int], list[int]]  # source and target pieces, each with its end


def marian(config: Config, vocab: Vocab) -> MarianMTModel:
    """A new model of our sizes. Marian wants padding last: it has the id `vocab.size`; our pieces keep theirs."""
    sizes, pad_id = config.model, vocab.size
    return MarianMTModel(
        MarianConfig(
            vocab_size=vocab.size + 1,
            d_model=sizes.d_model,
            encoder_layers=sizes.num_encoder_layers,
            decoder_layers=sizes.num_decoder_layers,
            encoder_attention_heads=sizes.num_heads,
            decoder_attention_heads=sizes.num_heads,
            encoder_ffn_dim=sizes.d_ff,
            decoder_ffn_dim=sizes.d_ff,
            dropout=sizes.dropout,
            attention_dropout=sizes.attention_dropout,
            activation_function="relu",
            scale_embedding=True,
            max_position_embeddings=MAX_POSITIONS,
            pad_token_id=pad_id,
            bos_token_id=None,
            eos_token_id=vocab.eos_id,
            forced_eos_token_id=None,
            decoder_start_token_id=pad_id,
            share_encoder_decoder_embeddings=True,
            tie_word_embeddings=sizes.tie_embeddings,
        )
    )


class Updates:
    """Adam with our learning rates and clipping."""

    def __init__(self, model: MarianMTModel, settings: TrainSettings) -> None:
        self._model, self._clip_norm = model, settings.clip_norm
        betas = (0.9, settings.adam_beta2)
        self._optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, betas=betas)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda done: learning_rate(done + 1, settings) / settings.learning_rate
        )

    def make(self, loss: Tensor) -> None:
        """One update, from the loss of a batch."""
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._clip_norm)
        self._optimizer.step()
        self._schedule.step()


def encoded_pairs(text: Iterable[Pair], vocab: Vocab, max_pieces: int) -> list[EncodedPair]:
    """The pairs with text on both sides and no side of more than `max_pieces`, its end apart."""
    pairs = [pair for pair in text if pair.is_full]
    sides = (vocab.encode([pair.src for pair in pairs]), vocab.encode([pair.tgt for pair in pairs]))
    return [
        ([*src, vocab.eos_id], [*tgt, vocab.eos_id])
        for src, tgt in zip(*sides, strict=True)
        if max(len(src), len(tgt)) <= max_pieces
    ]


def epochs(pairs: list[EncodedPair], budget: int, order: random.Random) -> Iterator[list[list[EncodedPair]]]:
    """Epoch after epoch, the batches in a new order, and pairs of the same lengths in other batches."""
    while True:
        order.shuffle(pairs)
        batches = of_like_length(pairs, budget)
        order.shuffle(batches)
        yield batches


def of_like_length(pairs: Iterable[EncodedPair], budget: int) -> list[list[EncodedPair]]:
    """All pairs sorted by length, cut where the longer side with padding would pass the budget."""
    batches: list[list[EncodedPair]] = [[]]
    longest = 0
    for pair in sorted(pairs, key=lambda pair: (len(pair[1]), len(pair[0]))):
        longest = max(longest, *map(len, pair))
        if batches[-1] and longest * (len(batches[-1]) + 1) > budget:
            batches.append([])
            longest = max(map(len, pair))
        batches[-1].append(pair)
    return batches


def piece_loss(model: MarianMTModel, batch: list[EncodedPair], label_smoothing: float, reduction: str) -> Tensor:
    """Cross-entropy of the target pieces, their `mean` or their `sum`."""
    device, pad_id = model.device, model.config.pad_token_id
    src, tgt_out = (padded([pair[side] for pair in batch], pad_id).to(device) for side in (0, 1))
    tgt_in = F.pad(tgt_out[:, :-1], (1, 0), value=pad_id)  # Marian starts a target with padding
    logits = model(
        input_ids=src, attention_mask=(src != pad_id).long(), decoder_input_ids=tgt_in, use_cache=False
    ).logits
    return F.cross_entropy(
        logits.flatten(0, 1),
        tgt_out.flatten(),
        ignore_index=pad_id,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )


def padded(rows: list[list[int]], pad_id: int) -> Tensor:
    """Rows of unequal length -> (B, L) ids."""
    longest = max(map(len, rows))
    return torch.tensor([row + [pad_id] * (longest - len(row)) for row in rows])
