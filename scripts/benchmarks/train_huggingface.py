"""A plain PyTorch loop around Hugging Face's Marian model, as a careful user writes it: pairs of like length together.

The sizes, dropout, loss, optimizer and learning rates are ours. What Marian sets by itself stays: no dropout inside the
feed-forward layers, so that it draws fewer masks than we do.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import MarianConfig, MarianMTModel

from benchmarks.products import PieceCounts
from benchmarks.stopwatch import Stopwatch
from benchmarks.training import Measured
from benchmarks.work import Work
from translate.settings import Config
from translate.trainer import learning_rate
from translate.vocab import Vocab

Pair = tuple[list[int], list[int]]  # source and target pieces, each with its end


def measure(work: Work) -> Measured:
    """Train for `warm_up + steps` updates."""
    settings, vocab = work.config.train, work.vocab()
    pad_id = vocab.size  # Marian wants padding last; our pieces keep their ids
    torch.manual_seed(settings.seed)
    model = _model(work.config, vocab, pad_id).to(work.device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, betas=(0.9, settings.adam_beta2))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda done: learning_rate(done + 1, settings) / settings.learning_rate
    )
    batches = _batches(_pairs(work, vocab), settings.batch_tokens, random.Random(settings.seed))
    with Stopwatch(work.warm_up, work.steps, work.device) as watch:
        for batch in batches:
            src_rows, tgt_rows = [src for src, _ in batch], [tgt for _, tgt in batch]
            watch.add(PieceCounts.of_batch([len(row) for row in src_rows], [len(row) for row in tgt_rows]))
            src, tgt_out = _padded(src_rows, pad_id).to(work.device), _padded(tgt_rows, pad_id).to(work.device)
            tgt_in = F.pad(tgt_out[:, :-1], (1, 0), value=pad_id)  # Marian starts a target with padding
            with torch.autocast(work.device, torch.bfloat16, enabled=settings.precision == "bfloat16"):
                logits = model(
                    input_ids=src, attention_mask=(src != pad_id).long(), decoder_input_ids=tgt_in, use_cache=False
                ).logits
                loss = F.cross_entropy(
                    logits.flatten(0, 1),
                    tgt_out.flatten(),
                    ignore_index=pad_id,
                    label_smoothing=settings.label_smoothing,
                )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
            optimizer.step()
            schedule.step()
    return watch.measured(work, watch.pieces, "transformers")


def _model(config: Config, vocab: Vocab, pad_id: int) -> MarianMTModel:
    sizes = config.model
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
            max_position_embeddings=256,
            pad_token_id=pad_id,
            bos_token_id=None,
            eos_token_id=vocab.eos_id,
            forced_eos_token_id=None,
            decoder_start_token_id=pad_id,
            share_encoder_decoder_embeddings=True,
            tie_word_embeddings=sizes.tie_embeddings,
        )
    )


def _pairs(work: Work, vocab: Vocab) -> list[Pair]:
    text = [pair for pair in work.text("train") if pair.is_full]
    sides = (vocab.encode([pair.src for pair in text]), vocab.encode([pair.tgt for pair in text]))
    longest = work.config.data.max_pieces
    return [
        ([*src, vocab.eos_id], [*tgt, vocab.eos_id])
        for src, tgt in zip(*sides, strict=True)
        if max(len(src), len(tgt)) <= longest
    ]


def _batches(pairs: list[Pair], budget: int, order: random.Random) -> Iterator[list[Pair]]:
    """Epoch after epoch: all pairs sorted by length, cut where the longer side with padding would pass the budget."""
    while True:
        order.shuffle(pairs)
        batches: list[list[Pair]] = [[]]
        longest = 0
        for pair in sorted(pairs, key=lambda pair: (len(pair[1]), len(pair[0]))):
            longest = max(longest, *map(len, pair))
            if batches[-1] and longest * (len(batches[-1]) + 1) > budget:
                batches.append([])
                longest = max(map(len, pair))
            batches[-1].append(pair)
        order.shuffle(batches)
        yield from batches


def _padded(rows: list[list[int]], pad_id: int) -> Tensor:
    """Rows of unequal length -> (B, L) ids."""
    longest = max(map(len, rows))
    return torch.tensor([row + [pad_id] * (longest - len(row)) for row in rows])
