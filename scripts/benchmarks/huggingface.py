"""A new Marian model of Hugging Face in a plain PyTorch loop, and its `generate`, as a careful user writes them.

Sizes, dropout, loss, optimizer and learning rates are ours. Marian's own choices stay: it has no dropout inside the
feed-forward layers.
"""

from __future__ import annotations

import copy
import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import MarianConfig, MarianMTModel

from benchmarks.learning import BEAM_SIZE, BEST, LAST, PEER_VALIDATE_EVERY, Learned, LearnJob, Progress
from benchmarks.products import PieceCounts
from benchmarks.stopwatch import Stopwatch
from benchmarks.training import Measured
from benchmarks.translating import in_order_of_length
from benchmarks.work import Work
from translate.config.settings import Config
from translate.config.train_settings import TrainSettings
from translate.data.parallel_text import Pair
from translate.data.readers.lines import read_lines
from translate.data.vocab import Vocab
from translate.training.optimizer import learning_rate

MAX_POSITIONS = 256  # pieces of a side, with its end
BATCH_SENTENCES = 64
MAX_RATIO, MAX_EXTRA = 2, 10  # length limit of a translation, from the longest source of its batch
EncodedPair = tuple[list[int], list[int]]  # source and target pieces, each with its end


def train(work: Work) -> Measured:
    """Train for `warm_up + steps` updates."""
    settings, vocab = work.config.train, work.vocab()
    torch.manual_seed(settings.seed)
    model = marian(work.config, vocab).to(work.device).train()
    update = _updater(model, settings)
    with Stopwatch(work.warm_up, work.steps, work.device) as watch:
        for batch in _batches(encoded_pairs(work.text("train"), vocab, work.config.data.max_pieces), settings):
            watch.add(PieceCounts.of_batch([len(src) for src, _ in batch], [len(tgt) for _, tgt in batch]))
            with torch.autocast(work.device, torch.bfloat16, enabled=settings.precision == "bfloat16"):
                loss = piece_loss(model, batch, settings.label_smoothing, "mean")
            update(loss)
    return watch.measured(work, watch.pieces, "transformers")


def learn(job: LearnJob) -> Learned:
    """Train, then translate with the last and with the best weights."""
    settings, vocab = job.config.train, job.vocab()
    torch.manual_seed(settings.seed)
    model = marian(job.config, vocab).to(job.device)
    pairs = encoded_pairs(job.text("train"), vocab, job.config.data.max_pieces)
    progress = Progress(60 * job.minutes, len(pairs))
    started, processor_started = time.perf_counter(), time.process_time()
    best_weights = _train(model, job, pairs, progress)
    progress.cores_used = (time.process_time() - processor_started) / (time.perf_counter() - started)
    progress.num_parameters = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    lines = list(read_lines(job.test_src))
    translations = {LAST: _translations(model, vocab, lines)}
    model.load_state_dict(best_weights)
    translations[BEST] = _translations(model, vocab, lines)
    device_name = torch.cuda.get_device_name() if job.device == "cuda" else ""
    return progress.learned(job, device_name, "transformers", translations)


def _train(model: MarianMTModel, job: LearnJob, pairs: list[EncodedPair], progress: Progress) -> dict[str, Any]:
    """Train until the time is over. Returns the weights with the lowest validation loss."""
    settings = job.config.train
    valid = encoded_pairs(job.text("valid"), job.vocab(), job.config.data.max_pieces)
    valid_batches = of_like_length(valid, settings.batch_tokens)
    update, batches = _updater(model, settings), _batches(pairs, settings)
    best_loss, best_weights = float("inf"), dict[str, Any]()
    model.train()
    while progress.seconds < progress.max_seconds:
        started = time.perf_counter()
        batch = next(batches)
        update(piece_loss(model, batch, settings.label_smoothing, "mean"))
        if job.device == "cuda":
            torch.cuda.synchronize()
        progress.seconds += time.perf_counter() - started
        progress.updates += 1
        progress.num_pairs += len(batch)
        if progress.updates % PEER_VALIDATE_EVERY == 0 or progress.seconds >= progress.max_seconds:
            model.eval()
            with torch.inference_mode():
                loss = sum(float(piece_loss(model, batch, 0.0, "sum")) for batch in valid_batches)
            model.train()
            if loss < best_loss:
                best_loss, best_weights = loss, copy.deepcopy(model.state_dict())
                progress.best_update = progress.updates
    return best_weights


@torch.inference_mode()
def _translations(model: MarianMTModel, vocab: Vocab, lines: Sequence[str]) -> list[str]:
    pad_id = model.config.pad_token_id
    model.eval()

    def translate(some: Sequence[str]) -> list[str]:
        rows = [[*row[: MAX_POSITIONS - 1], vocab.eos_id] for row in vocab.encode(some)]
        found = []
        for start in range(0, len(rows), BATCH_SENTENCES):
            src = padded(rows[start : start + BATCH_SENTENCES], pad_id).to(model.device)
            found += model.generate(
                input_ids=src,
                attention_mask=(src != pad_id).long(),
                num_beams=BEAM_SIZE,
                do_sample=False,
                max_new_tokens=min(MAX_RATIO * src.size(1) + MAX_EXTRA, MAX_POSITIONS - 1),
                suppress_tokens=[pad_id],
            ).tolist()
        return [vocab.decode([piece for piece in row if piece not in (pad_id, vocab.eos_id)]) for row in found]

    return in_order_of_length(lines, translate)


def marian(config: Config, vocab: Vocab) -> MarianMTModel:
    """Return a new model of our sizes. Padding has the id `vocab.size`, because Marian expects it last."""
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


def _updater(model: MarianMTModel, settings: TrainSettings) -> Callable[[Tensor], None]:
    """Return a function that updates the model from the loss of a batch: Adam with our learning rates and clipping."""
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, betas=(0.9, settings.adam_beta2))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda done: learning_rate(done + 1, settings) / settings.learning_rate
    )

    def update(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimizer.step()
        schedule.step()

    return update


def encoded_pairs(text: Iterable[Pair], vocab: Vocab, max_pieces: int) -> list[EncodedPair]:
    """Encode the pairs with text on both sides and at most `max_pieces` per side, not counting `</s>`."""
    pairs = [pair for pair in text if pair.is_full]
    sides = (vocab.encode([pair.src for pair in pairs]), vocab.encode([pair.tgt for pair in pairs]))
    return [
        ([*src, vocab.eos_id], [*tgt, vocab.eos_id])
        for src, tgt in zip(*sides, strict=True)
        if max(len(src), len(tgt)) <= max_pieces
    ]


def _batches(pairs: list[EncodedPair], settings: TrainSettings) -> Iterator[list[EncodedPair]]:
    """Yield batches endlessly, reshuffled in each epoch; pairs of the same length are batched differently, too."""
    order = random.Random(settings.seed)
    for _ in itertools.count():
        order.shuffle(pairs)
        batches = of_like_length(pairs, settings.batch_tokens)
        order.shuffle(batches)
        yield from batches


def of_like_length(pairs: Iterable[EncodedPair], budget: int) -> list[list[EncodedPair]]:
    """Sort all pairs by length and cut them into batches whose longer side, with padding, stays within the budget."""
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
    """Return the `mean` or `sum` of the target pieces' cross-entropy."""
    device, pad_id = model.device, model.config.pad_token_id
    src, tgt_out = (padded([pair[side] for pair in batch], pad_id).to(device) for side in (0, 1))
    tgt_in = F.pad(tgt_out[:, :-1], (1, 0), value=pad_id)  # Marian starts a target with padding
    mask = (src != pad_id).long()
    logits = model(input_ids=src, attention_mask=mask, decoder_input_ids=tgt_in, use_cache=False).logits.flatten(0, 1)
    options: dict[str, Any] = {"label_smoothing": label_smoothing, "reduction": reduction}
    return F.cross_entropy(logits, tgt_out.flatten(), ignore_index=pad_id, **options)


def padded(rows: list[list[int]], pad_id: int) -> Tensor:
    """Pad rows of unequal length -> (B, L) ids."""
    longest = max(map(len, rows))
    return torch.tensor([row + [pad_id] * (longest - len(row)) for row in rows])
