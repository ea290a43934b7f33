"""Names and shapes of a Transformer's parameters without torch, so that CTranslate2's engine starts quickly."""

from __future__ import annotations

from translate.config.model_settings import ModelSettings

Shape = tuple[int, ...]


def transformer_shapes(
    settings: ModelSettings, num_src_pieces: int, num_tgt_pieces: int, is_joint: bool
) -> dict[str, Shape]:
    """Return the shapes of the parameters in translate/model/transformer.py. is_joint: whether the vocabulary is."""
    width, inner = settings.d_model, settings.d_ff
    norm: dict[str, Shape] = {"norm.weight": (width,), "norm.bias": (width,)}
    attention: dict[str, Shape] = {f"{name}.weight": (width, width) for name in ("query", "key", "value", "output")}
    inside: dict[str, dict[str, Shape]] = {"self_attn": attention, "cross_attn": attention}
    inside["feed_forward"] = {"inner.weight": (inner, width), "inner.bias": (inner,)}
    inside["feed_forward"] |= {"outer.weight": (width, inner), "outer.bias": (width,)}
    encoder, decoder = ("self_attn", "feed_forward"), ("self_attn", "cross_attn", "feed_forward")

    shapes: dict[str, Shape] = {"tgt_embedding.weight": (num_tgt_pieces, width)}
    if not (is_joint and settings.tie_embeddings):
        shapes["src_embedding.weight"] = (num_src_pieces, width)
    if not settings.tie_embeddings:
        shapes["output.weight"] = (num_tgt_pieces, width)
    sides = ("encoder", settings.num_encoder_layers, encoder), ("decoder", settings.num_decoder_layers, decoder)
    for side, num_layers, sublayers in sides:
        if settings.norm == "pre":
            shapes |= {f"{side}_{name}": shape for name, shape in norm.items()}
        for prefix in (f"{side}_layers.{layer}.{sublayer}" for layer in range(num_layers) for sublayer in sublayers):
            shapes |= {f"{prefix}.{name}": shape for name, shape in inside[prefix.rpartition(".")[2]].items()}
            shapes |= {f"{prefix}_residual.{name}": shape for name, shape in norm.items()}
    return shapes
