"""JoeyNMT's settings for our pieces and sizes, and a patch for newer libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sentencepiece

from benchmarks.work import SRC, TGT
from translate.config.model_settings import ModelSettings
from translate.data.vocab import Vocab

SPECIALS = ("<unk>", "<pad>", "<s>", "</s>")  # JoeyNMT looks pieces up by name, so their ids need not be ours
ATTENTION = {"additive": "bahdanau", "general": "luong"}  # of recurrent models


def allow_new_sentencepiece() -> None:
    """Restore a function of sentencepiece that JoeyNMT calls and newer versions lack."""
    if not hasattr(sentencepiece.SentencePieceProcessor, "SetVocabulary"):
        # It restricts the pieces to a vocabulary, and ours has all of them.
        processor: Any = sentencepiece.SentencePieceProcessor
        processor.SetVocabulary = lambda *_: None


def write_vocab(path: Path, vocab: Vocab) -> None:
    """Write all pieces, one per line, beginning with those that JoeyNMT requires."""
    pieces = [piece for piece in vocab.pieces(range(vocab.size)) if piece not in SPECIALS]
    path.write_text("\n".join([*SPECIALS, *pieces]) + "\n", encoding="utf-8")


def data_settings(vocab_path: Path, model_path: Path, max_pieces: int) -> dict[str, Any]:
    """Return the `data` section without the text. vocab_path: from `write_vocab`; model_path: sentencepiece's model."""
    side = {
        "max_length": max_pieces,
        "level": "bpe",
        "lowercase": False,
        "normalize": False,
        "voc_file": str(vocab_path),
        "tokenizer_type": "sentencepiece",
        "tokenizer_cfg": {"model_file": str(model_path), "pretokenizer": "none"},
    }
    names = ("unk", "pad", "bos", "eos")
    specials: dict[str, Any] = {f"{name}_token": piece for name, piece in zip(names, SPECIALS, strict=True)}
    specials |= {f"{name}_id": number for number, name in enumerate(names)}
    sides = {"src": {"lang": SRC, **side}, "trg": {"lang": TGT, **side}}
    return {"dataset_type": "plain", **sides, "special_symbols": specials}


def model_settings(sizes: ModelSettings) -> dict[str, Any]:
    """Return the `model` section."""
    stacks = _recurrent(sizes) if sizes.architecture == "recurrent" else _transformer(sizes)
    return {
        "initializer": "xavier_uniform",
        "embed_initializer": "xavier_uniform",
        "tied_embeddings": sizes.tie_embeddings,
        "tied_softmax": sizes.tie_embeddings,
        **stacks,
    }


def _transformer(sizes: ModelSettings) -> dict[str, Any]:
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

    return {"encoder": stack(sizes.num_encoder_layers), "decoder": stack(sizes.num_decoder_layers)}


def _recurrent(sizes: ModelSettings) -> dict[str, Any]:
    """Both directions of the encoder together are as wide as the decoder, as in our model."""
    assert sizes.attention in ATTENTION, f"JoeyNMT has no attention {sizes.attention!r}"
    shared = {
        "type": "recurrent",
        "rnn_type": sizes.cell,
        "embeddings": {"embedding_dim": sizes.d_model, "scale": True, "dropout": sizes.dropout},
        "dropout": sizes.dropout,
    }
    encoder = {"num_layers": sizes.num_encoder_layers, "hidden_size": sizes.d_model // 2, "bidirectional": True}
    decoder = {
        "num_layers": sizes.num_decoder_layers,
        "hidden_size": sizes.d_model,
        "hidden_dropout": sizes.dropout,
        "attention": ATTENTION[sizes.attention],
        "input_feeding": True,
        "init_hidden": "bridge",
    }
    return {"encoder": shared | encoder, "decoder": shared | decoder}
