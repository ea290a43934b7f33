"""Export to Hugging Face Transformers, which loads the folder without this program:

    tokenizer, model = AutoTokenizer.from_pretrained(DIR), AutoModelForSeq2SeqLM.from_pretrained(DIR)

With sinusoidal positions, a pre-norm Transformer is exported as Pegasus, and a post-norm one (as in the original paper)
as Marian: these models have the same layers and positional encodings. Transformers has no such model with rotary
positions, so the folder then contains a file that defines it, and `from_pretrained` needs `trust_remote_code=True`. The
tokenizer is Marian's, which uses sentencepiece for segmentation.

Differences from translating with the run itself:
- The lines of a batch are padded with an additional piece, `<pad>`, which never occurs in translations.
- Lines longer than `data.max_pieces` are truncated only on request (`truncation=True`). Empty lines are translated
  like any other line. The maximum length of a translation does not depend on the length of its source.
- The first `>>`, the last `<<` in a line and all between them are replaced by the unknown piece: Marian's tokenizer
  takes this for a language code such as `>>fr<<`.
- Decoded text is stripped of leading and trailing whitespace. `skip_special_tokens` also removes the unknown piece.
- The coverage penalty is not supported.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from translate.config.settings import Config
from translate.data.vocab import Vocab, VocabPair
from translate.decoding.engine import Sentence, length_limit
from translate.errors import UserError
from translate.export.huggingface_rotary import MODULE, modeling_file, rotary_config, rotary_weights
from translate.export.model_card import Languages, model_card
from translate.export.usage import huggingface_use
from translate.model.layers import sinusoidal_positions
from translate.model.transformer import Transformer
from translate.run.architecture import require_transformer
from translate.run.folder import Run
from translate.run.model import load_model
from translate.system.files import atomic_folder, folder_size, resolved, write_bytes, write_text

NEVER = -1e4  # a logit that half precision can represent and that yields a probability of 0
MAX_POSITIONS = 100_000  # at width 1024, these take 400 MB
MIN_POSITIONS = 1024  # minimum number of exported positions, which limits the line length in Transformers

# Parts of parameter names in this program and in Transformers.
RENAMED = {
    "encoder_norm": "model.encoder.layer_norm",
    "decoder_norm": "model.decoder.layer_norm",
    "encoder_layers": "model.encoder.layers",
    "decoder_layers": "model.decoder.layers",
    "feed_forward_residual.norm": "final_layer_norm",
    "_residual.norm": "_layer_norm",
    "feed_forward.inner": "fc1",
    "feed_forward.outer": "fc2",
    "cross_attn": "encoder_attn",
    "attn.query": "attn.q_proj",
    "attn.key": "attn.k_proj",
    "attn.value": "attn.v_proj",
    "attn.output": "attn.out_proj",
}


def export_huggingface(run: Run, folder: Path, languages: Languages | None = None) -> None:
    """Write the run's weights, vocabularies and decode settings to `folder`, which appears only when complete.

    languages: for README.md; None for those of the run. Raises UserError if the run has no weights yet, is not a
    Transformer, or has too many positions to store, or if `folder` is not empty.
    """
    config, vocabs = run.load_config(), run.load_vocabs()
    require_transformer(run, config, "Hugging Face export", "export to onnx instead")
    is_native = config.model.positions == "sinusoidal"
    if is_native and (num_positions := _num_positions(config)) > MAX_POSITIONS:
        advice = "lower data.max_pieces or decode.max_length_ratio in config.toml"
        raise UserError(f"{run.path}: Hugging Face would store {num_positions:,} positions; {advice}")
    model = load_model(run, vocabs).model
    assert isinstance(model, Transformer)
    if is_native:
        tensors = _layers(model) | _positions(config) | _tables(model, config, vocabs)
    else:
        tensors = rotary_weights(model, _pad_id(vocabs) + 1)
    with atomic_folder(folder) as partial:
        write_bytes(partial / "model.safetensors", save(tensors, metadata={"format": "pt"}))
        if not is_native:
            write_bytes(partial / f"{MODULE}.py", modeling_file())
        _write_json(partial / "config.json", _model_config(config, vocabs))
        _write_json(partial / "generation_config.json", _generation_config(config, vocabs))
        _write_tokenizer(partial, config, vocabs)
        use = huggingface_use(resolved(folder).name, has_code=not is_native)
        known = languages or Languages(*config.data.languages)
        write_text(partial / "README.md", model_card(run, known, use, folder_size(partial)))


def _layers(model: Transformer) -> dict[str, Tensor]:
    """Return the weights of the layers and final norms under their names in Transformers."""
    tensors = {}
    for name, parameter in model.named_parameters():
        if name.startswith(("encoder_", "decoder_")):
            renamed = name
            for ours, theirs in RENAMED.items():
                renamed = renamed.replace(ours, theirs)
            tensors[renamed] = _reorder(name, parameter.detach())
            if "attn." in name and "norm" not in name:  # attention projections have biases in Transformers
                tensors[renamed.replace("weight", "bias")] = torch.zeros(model.d_model)
    return tensors


def _positions(config: Config) -> dict[str, Tensor]:
    """Return the position tables, because Transformers would compute slightly different values."""
    positions = sinusoidal_positions(torch.arange(_num_positions(config)), config.model.d_model)
    return {f"model.{side}.embed_positions.weight": _halves(positions, dim=1) for side in ("encoder", "decoder")}


def _tables(model: Transformer, config: Config, vocabs: VocabPair) -> dict[str, Tensor]:
    """Return the embeddings and output layer, with padding rows, and a bias that excludes padding from translations."""
    num_rows = _pad_id(vocabs) + 1

    def table(weight: Tensor) -> Tensor:
        return torch.cat([_halves(weight.detach(), dim=1), weight.new_zeros(num_rows - len(weight), model.d_model)])

    bias = torch.zeros(1, num_rows)
    bias[:, vocabs.tgt.size :] = NEVER
    src, tgt = table(model.src_embedding.weight), table(model.tgt_embedding.weight)
    if _is_shared(config, vocabs):
        return {"final_logits_bias": bias, "model.shared.weight": tgt}
    tables = {"final_logits_bias": bias, "model.encoder.embed_tokens.weight": src}
    tables |= {"model.decoder.embed_tokens.weight": tgt, "lm_head.weight": table(model.output.weight)}
    if config.model.norm == "pre":  # Pegasus requires this table but does not use it
        tables["model.shared.weight"] = src.clone()
    return tables


def _model_config(config: Config, vocabs: VocabPair) -> dict[str, Any]:
    shared = {"dtype": "float32", "is_encoder_decoder": True} | _special_ids(vocabs)
    if config.model.positions == "rotary":
        return rotary_config(config, vocabs, _pad_id(vocabs) + 1) | shared
    return _native_config(config, vocabs) | shared


def _native_config(config: Config, vocabs: VocabPair) -> dict[str, Any]:
    shape, is_shared = config.model, _is_shared(config, vocabs)
    pegasus = {"model_type": "pegasus", "architectures": ["PegasusForConditionalGeneration"]}
    marian = {"model_type": "marian", "architectures": ["MarianMTModel"], "share_encoder_decoder_embeddings": is_shared}
    return (
        (pegasus if shape.norm == "pre" else marian)
        | {"vocab_size": _pad_id(vocabs) + 1, "tie_word_embeddings": is_shared}
        | {"max_position_embeddings": _num_positions(config), "d_model": shape.d_model}
        | {"encoder_layers": shape.num_encoder_layers, "decoder_layers": shape.num_decoder_layers}
        | {"encoder_attention_heads": shape.num_heads, "decoder_attention_heads": shape.num_heads}
        | {"encoder_ffn_dim": shape.d_ff, "decoder_ffn_dim": shape.d_ff, "activation_function": "relu"}
        | {"scale_embedding": True, "dropout": shape.dropout, "attention_dropout": shape.attention_dropout}
        | {"forced_eos_token_id": None}  # the default would be piece 1 or 0
    )


def _generation_config(config: Config, vocabs: VocabPair) -> dict[str, Any]:
    """Return the run's decode settings. Beam search in Transformers uses the same scores and stopping criterion."""
    decode = config.decode
    beam = {"num_beams": decode.beam_size, "length_penalty": decode.length_penalty, "early_stopping": False}
    sampling = {"do_sample": True, "temperature": decode.temperature, "top_k": decode.top_k, "top_p": decode.top_p}
    rules = {"no_repeat_ngram_size": decode.no_repeat_ngram, "min_new_tokens": decode.min_length}
    rules["max_new_tokens"] = _longest_translation(config)
    return (sampling if decode.sample else beam) | rules | _special_ids(vocabs)


def _special_ids(vocabs: VocabPair) -> dict[str, int]:
    bos, eos, pad = vocabs.tgt.bos_id, vocabs.tgt.eos_id, _pad_id(vocabs)
    return {"bos_token_id": bos, "eos_token_id": eos, "pad_token_id": pad, "decoder_start_token_id": bos}


def _write_tokenizer(folder: Path, config: Config, vocabs: VocabPair) -> None:
    unk, eos = vocabs.src.pieces([vocabs.src.unk_id, vocabs.src.eos_id])
    src_ids, tgt_ids = map(_piece_ids, vocabs)
    pad = "<pad>"
    while pad in src_ids | tgt_ids:  # a user-supplied vocabulary may contain a piece with this name
        pad = f"<{pad}>"
    write_bytes(folder / "source.spm", vocabs.src.proto)
    write_bytes(folder / "target.spm", vocabs.tgt.proto)
    _write_json(folder / "vocab.json", src_ids | {pad: _pad_id(vocabs)})
    if not vocabs.joint:
        _write_json(folder / "target_vocab.json", tgt_ids | {pad: _pad_id(vocabs)})
    settings: dict[str, Any] = {"tokenizer_class": "MarianTokenizer", "separate_vocabs": not vocabs.joint}
    settings |= {"unk_token": unk, "eos_token": eos, "pad_token": pad}
    settings |= {"model_max_length": config.data.max_pieces + 1, "clean_up_tokenization_spaces": False}
    settings["split_special_tokens"] = True  # `</s>` in the input is ordinary text
    _write_json(folder / "tokenizer_config.json", settings)


def _piece_ids(vocab: Vocab) -> dict[str, int]:
    return {piece: i for i, piece in enumerate(vocab.pieces(range(vocab.size)))}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _is_shared(config: Config, vocabs: VocabPair) -> bool:
    """Return whether both sides and the output layer share one embedding matrix."""
    return vocabs.joint and config.model.tie_embeddings


def _pad_id(vocabs: VocabPair) -> int:
    """Return the id of the padding piece: the first id that neither vocabulary uses."""
    return max(vocabs.src.size, vocabs.tgt.size)


def _longest_translation(config: Config) -> int:
    """Return the maximum translation length, in pieces, for the longest possible line."""
    return length_limit(Sentence(range(config.data.max_pieces + 1)), config.decode)


def _num_positions(config: Config) -> int:
    return max(MIN_POSITIONS, config.data.max_pieces + 1, _longest_translation(config))


def _reorder(name: str, weight: Tensor) -> Tensor:
    """Reorder the residual-stream axis of the weight, if it has one, to match Transformers."""
    if name.endswith("inner.bias"):
        return weight
    is_written = "norm." in name or "attn.output." in name or ".outer." in name
    return _halves(weight, dim=0 if is_written else 1)


def _halves(tensor: Tensor, dim: int) -> Tensor:
    """Reorder `dim` from alternating sines and cosines to all sines first, as in Transformers."""
    order = torch.arange(tensor.size(dim)).view(-1, 2).t().flatten()
    return tensor.index_select(dim, order)
