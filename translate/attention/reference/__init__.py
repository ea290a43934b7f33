"""Second implementations of the models, which verify the first.

They use only NumPy, in float64, without PyTorch, fused kernels, hooks or batches. Both implementations follow the same
papers and use the same names of weights, but they share no code.
"""

from __future__ import annotations

from collections.abc import Mapping

from translate.attention.maps import Floats
from translate.attention.reference.blocks import Reference
from translate.attention.reference.decoder_only import DecoderOnlyReference
from translate.attention.reference.recurrent import RecurrentReference
from translate.attention.reference.transformer import TransformerReference
from translate.config.model_settings import ModelSettings

ARCHITECTURES: Mapping[str, type[Reference]] = {
    "transformer": TransformerReference,
    "recurrent": RecurrentReference,
    "decoder-only": DecoderOnlyReference,
}


def build_reference(weights: Mapping[str, Floats], settings: ModelSettings, bos_id: int) -> Reference:
    """Return the second implementation of the model with these weights. bos_id: the piece read before the target."""
    return ARCHITECTURES[settings.architecture](weights, settings, bos_id)
