"""JoeyNMT's own training, `joeynmt.training.train`, with its settings made to ours."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import sentencepiece
from joeynmt.batch import Batch
from joeynmt.training import TrainManager, train

from benchmarks.products import PieceCounts
from benchmarks.stopwatch import Stopwatch
from benchmarks.training import Measured
from benchmarks.work import SRC, TGT, Work
from translate.settings import Config, ModelSettings
from translate.vocab import Vocab

SPECIALS = ("<unk>", "<pad>", "<s>", "</s>")  # JoeyNMT looks pieces up by name, so their ids need not be ours
NEVER = 10**9


def measure(work: Work) -> Measured:
    """Train for `warm_up + steps` updates."""
    if not hasattr(sentencepiece.SentencePieceProcessor, "SetVocabulary"):
        # Gone from newer sentencepiece; it would only forbid pieces that the vocabulary lacks, and it lacks none.
        processor: Any = sentencepiece.SentencePieceProcessor
        processor.SetVocabulary = lambda *_: None
    vocab_path, model_dir = work.folder / "joeynmt.vocab", Path(tempfile.mkdtemp(prefix="joeynmt-", dir=work.folder))
    _write_vocab(vocab_path, work.vocab())
    with Stopwatch(work.warm_up, work.steps, work.device) as watch:
        _tell_batches_to(watch)
        train(rank=0, world_size=None, cfg=_settings(work, vocab_path, model_dir), skip_test=True)
    return watch.measured(work, watch.pieces, "joeynmt")


def _write_vocab(path: Path, vocab: Vocab) -> None:
    pieces = [piece for piece in vocab.pieces(range(vocab.size)) if piece not in SPECIALS]
    path.write_text("\n".join([*SPECIALS, *pieces]) + "\n", encoding="utf-8")


def _tell_batches_to(watch: Stopwatch) -> None:
    step = TrainManager._train_step

    def counted_step(manager: TrainManager, batch: Batch) -> Any:
        tgt_lengths = batch.trg_mask.sum(dim=(1, 2)).tolist()
        pieces = PieceCounts.of_batch(batch.src_length.tolist(), tgt_lengths)
        assert (pieces.src_slots, pieces.tgt_slots) == (batch.src.numel(), batch.trg.numel())
        watch.add(pieces)
        return step(manager, batch)

    TrainManager._train_step = counted_step


def _settings(work: Work, vocab_path: Path, model_dir: Path) -> dict[str, Any]:
    config = work.config
    side = {
        "max_length": config.data.max_pieces,
        "level": "bpe",
        "lowercase": False,
        "normalize": False,
        "voc_file": str(vocab_path),
        "tokenizer_type": "sentencepiece",
        "tokenizer_cfg": {"model_file": config.vocab.model, "pretokenizer": "none"},
    }
    specials = {
        key: value
        for number, name in enumerate(("unk", "pad", "bos", "eos"))
        for key, value in ((f"{name}_token", SPECIALS[number]), (f"{name}_id", number))
    }
    return {
        "name": "bench",
        "model_dir": str(model_dir),
        "use_cuda": work.device == "cuda",
        "fp16": False,
        "random_seed": config.train.seed,
        "data": {
            "train": str(work.folder / "train"),
            "dev": str(work.folder / "valid"),
            "dataset_type": "plain",
            "src": {"lang": SRC, **side},
            "trg": {"lang": TGT, **side},
            "special_symbols": specials,
        },
        "testing": {"beam_size": 1, "batch_size": 64, "eval_metrics": ["bleu"]},
        "training": _training(config),
        "model": _model(config.model),
    }


def _training(config: Config) -> dict[str, Any]:
    settings = config.train
    return {
        "optimizer": "adam",
        "adam_betas": [0.9, settings.adam_beta2],
        "normalization": "tokens",
        "scheduling": "warmupinversesquareroot",
        "learning_rate": settings.learning_rate,
        "learning_rate_warmup": settings.warmup_steps,
        "learning_rate_min": 0.0,
        "loss": "crossentropy",
        "label_smoothing": settings.label_smoothing,
        "clip_grad_norm": settings.clip_norm,
        "batch_size": settings.batch_tokens,
        "batch_type": "token",
        "batch_multiplier": 1,
        "early_stopping_metric": "ppl",
        "epochs": NEVER,
        "updates": NEVER,
        "validation_freq": NEVER,
        "logging_freq": 50,
        "shuffle": True,
    }


def _model(sizes: ModelSettings) -> dict[str, Any]:
    def stack(num_layers: int) -> dict[str, Any]:
        return {
            "type": "transformer",
            "num_layers": num_layers,
            "num_heads": sizes.num_heads,
            "embeddings": {"embedding_dim": sizes.d_model, "scale": True, "dropout": sizes.dropout},
            "hidden_size": sizes.d_model,
            "ff_size": sizes.d_ff,
            "dropout": sizes.dropout,
            "layer_norm": sizes.norm,
            "activation": "relu",
        }

    return {
        "initializer": "xavier_uniform",
        "embed_initializer": "xavier_uniform",
        "tied_embeddings": sizes.tie_embeddings,
        "tied_softmax": sizes.tie_embeddings,
        "encoder": stack(sizes.num_encoder_layers),
        "decoder": stack(sizes.num_decoder_layers),
    }
