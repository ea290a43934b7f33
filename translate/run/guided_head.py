"""Which head of a run is guided by alignments."""

from __future__ import annotations

from translate.config.settings import Config
from translate.model.attention_kinds import Head


def guided_head(config: Config) -> Head | None:
    """Return the head whose attention is guided by alignments, or None if no head is guided."""
    settings = config.train
    if not (config.data.train_align and settings.alignment_weight):
        return None
    layer, num_layers = settings.alignment_layer, config.model.cross_shape.num_layers
    if layer < 0:
        # Use the penultimate layer (Garg et al. 2019), but not layer 0, whose queries have not yet seen the source.
        layer = num_layers - 2 if num_layers > 2 else num_layers - 1
    return Head("cross", layer, settings.alignment_head)
