"""JoeyNMT's own prediction, `joeynmt.prediction.predict`, with our weights in its model.

The model is written to a folder for JoeyNMT's command: settings, vocabulary and checkpoint.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from joeynmt.config import load_config, parse_global_args
from joeynmt.model import Model
from joeynmt.prediction import predict, prepare
from joeynmt.transformer_layers import PositionalEncoding
from torch import Tensor, nn

from benchmarks.decoding import DecodeJob, Measured
from benchmarks.joeynmt_settings import SPECIALS, allow_new_sentencepiece, data_settings, model_settings, write_vocab
from benchmarks.translating import Translate, in_order_of_length, measured
from translate.config.settings import Config
from translate.data.batches import pad
from translate.data.readers.lines import read_lines
from translate.data.vocab import Vocab
from translate.decoding.torch_engine import TorchEngine
from translate.model.transformer import Transformer
from translate.run.folder import Run

BATCH_SENTENCES = 32  # with a beam as fast as 16, 64 or 128, and faster than these without one
NUM_COMPARED_LINES = 8
NORM_EPSILON = nn.LayerNorm(1).eps  # ours; JoeyNMT's own is 1e-6
# Parts of our parameter names (patterns, in order), and their names in JoeyNMT.
RENAMED = (
    (r"^(encoder|decoder)_layers", r"\1.layers"),
    (r"^(encoder|decoder)_norm", r"\1.layer_norm"),
    (r"^(encoder.*)self_attn_residual\.norm", r"\1layer_norm"),
    (r"^(encoder.*)self_attn", r"\1src_src_att"),
    (r"self_attn_residual\.norm", "x_layer_norm"),
    (r"self_attn", "trg_trg_att"),
    (r"cross_attn_residual\.norm", "dec_layer_norm"),
    (r"cross_attn", "src_trg_att"),
    (r"feed_forward_residual\.norm", "feed_forward.layer_norm"),
    (r"feed_forward\.inner", "feed_forward.pwff_layer.0"),
    (r"feed_forward\.outer", "feed_forward.pwff_layer.3"),
    (r"_att\.([qkv])\w+", r"_att.\1_layer"),
    (r"_att\.output", "_att.output_layer"),
)


def export(job: DecodeJob) -> None:
    """Write the folder. Asserts that its model computes the same logits as ours."""
    run = Run.open(job.run)
    config, vocabs = run.load_config(), run.load_vocabs()
    assert vocabs.joint, "JoeyNMT ties embeddings only if both sides share a vocabulary"
    ours = TorchEngine.load([run], vocabs, "cpu").model
    assert isinstance(ours, Transformer)
    job.model.mkdir()
    (job.model / "vocab.model").write_bytes(vocabs.src.proto)
    write_vocab(job.model / "vocab.txt", vocabs.src)
    # JSON is YAML.
    (job.model / "config.yaml").write_text(json.dumps(_settings(job, config)), encoding="utf-8")
    ids = _ids(vocabs.src)
    torch.save({"model_state": _weights(ours, ids)}, job.model / "best.ckpt")
    theirs, _, _ = _prepared(job)
    rows = vocabs.src.encode(list(read_lines(job.source))[:NUM_COMPARED_LINES])
    _check_logits(ours, theirs.to("cpu"), ids, [[*row, vocabs.src.eos_id] for row in rows], vocabs.src.bos_id)


def decode(job: DecodeJob) -> Measured:
    """Translate the text in batches of sentences of similar length."""
    return measured(job, _load, ["joeynmt", "torch"])


def _load(job: DecodeJob) -> Translate:
    model, dataset, args = _prepared(job)
    return translator(model, dataset, args._replace(test=args.test._replace(beam_size=job.beam_size)))


def translator(model: Model, dataset: Any, args: Any) -> Translate:
    """Return a function that calls JoeyNMT's prediction. dataset: accepts lines; args: all settings."""

    def translate(lines: Sequence[str]) -> list[str]:
        dataset.reset_cache()
        for line in lines:
            dataset.set_item(line)
        settings = {"device": args.device, "n_gpu": args.n_gpu, "args": args.test, "autocast": args.autocast}
        _, _, translations, *_ = predict(model=model, data=dataset, normalization="none", **settings)
        return list(translations)

    return lambda lines: in_order_of_length(lines, translate)


def _prepared(job: DecodeJob) -> tuple[Model, Any, Any]:
    """Return the model, a data set for lines, and the settings, as JoeyNMT's `translate` creates them."""
    allow_new_sentencepiece()
    args = parse_global_args(load_config(job.model / "config.yaml"), rank=0, mode="translate")
    model, _, _, dataset = prepare(args, rank=0, mode="translate")
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = NORM_EPSILON
    return model.eval(), dataset, args


def _settings(job: DecodeJob, config: Config) -> dict[str, Any]:
    folder = job.model.resolve()
    return {
        "name": "bench",
        "model_dir": str(folder),
        "use_cuda": job.device == "cuda",
        "fp16": False,
        "data": {"train": "", **data_settings(folder / "vocab.txt", folder / "vocab.model", config.data.max_pieces)},
        "testing": {
            "beam_size": job.beam_size,
            "beam_alpha": config.decode.length_penalty,
            "batch_size": BATCH_SENTENCES,
            "batch_type": "sentence",
            "max_output_length": -1,  # JoeyNMT's default: one and a half times the longest source of the batch
        },
        "training": {"batch_size": BATCH_SENTENCES},
        "model": model_settings(config.model),
    }


def _ids(vocab: Vocab) -> list[int | None]:
    """Return our id of each of JoeyNMT's pieces; None for padding, which we do not have."""
    pieces = vocab.pieces(range(vocab.size))
    by_piece = {piece: i for i, piece in enumerate(pieces)}
    assert {"<unk>", "<s>", "</s>"} <= by_piece.keys()
    return [by_piece.get(piece) for piece in (*SPECIALS, *(piece for piece in pieces if piece not in SPECIALS))]


def _weights(ours: Transformer, ids: list[int | None]) -> dict[str, Tensor]:
    positions = PositionalEncoding(ours.d_model).pe
    weights = {
        "src_embed.lut.weight": _rows(ours.src_embedding.weight, ids),
        "trg_embed.lut.weight": _rows(ours.tgt_embedding.weight, ids),
        "decoder.output_layer.weight": _rows(ours.output.weight, ids),
        "encoder.pe.pe": positions,
        "decoder.pe.pe": positions,
    }
    for name, weight in ours.named_parameters():
        if name.startswith(("encoder_", "decoder_")):
            theirs = reduce(lambda renamed, each: re.sub(each[0], each[1], renamed), RENAMED, name)
            weights[theirs] = weight.detach()
            if "_att." in theirs:  # JoeyNMT's projections have biases; ours do not, so they are zero
                weights[theirs.replace("weight", "bias")] = torch.zeros(len(weight))
    return weights


def _rows(matrix: Tensor, ids: list[int | None]) -> Tensor:
    """(V, D) -> one row for each of JoeyNMT's pieces; zeros for padding, which it neither reads nor produces."""
    nothing = torch.zeros(matrix.size(1))
    return torch.stack([nothing if i is None else matrix[i].detach() for i in ids])


@torch.inference_mode()
def _check_logits(ours: Transformer, theirs: Model, ids: list[int | None], rows: list[list[int]], bos_id: int) -> None:
    """Compare the logits of both models, with the sentences as their own translations."""
    src, src_mask = pad(rows)
    positions = {i: position for position, i in enumerate(ids) if i is not None}
    tgt_in = torch.cat([torch.full((len(rows), 1), bos_id), src[:, :-1]], dim=1)
    expected = ours(src, src_mask, tgt_in)  # (B, T, V)
    their_src, their_tgt_in = (side.clone().apply_(positions.__getitem__) for side in (src, tgt_in))
    found, *_ = theirs._encode_decode(
        src=their_src,
        trg_input=their_tgt_in,
        src_mask=src_mask[:, None, :],
        src_length=src_mask.sum(dim=1),
        trg_mask=torch.ones(1, 1, 1, dtype=torch.bool),
    )
    found = found[:, :, [positions[i] for i in range(expected.size(2))]]
    difference = float((found - expected).abs().max())
    assert difference < 1e-4, f"JoeyNMT's logits differ from ours by up to {difference:.2g}"
