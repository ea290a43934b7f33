"""Which attention is kept, and in which precision. Needs neither torch nor numpy, so that commands start fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from translate.errors import UserError
from translate.model.attention_kinds import KINDS, KindName

if TYPE_CHECKING:
    from translate.model.seq2seq import Seq2Seq

StoredType = Literal["float32", "float16"]


class AttentionSelection(NamedTuple):
    """The kinds and layers of attention to keep, and the type to store them in."""

    kinds: tuple[KindName, ...] = tuple(KINDS)
    layers: tuple[int, ...] | None = None  # from 0; None: all
    dtype: StoredType = "float32"

    def layers_of(self, kind: KindName, model: Seq2Seq) -> tuple[int, ...]:
        """The selected layers that exist: the encoder may have fewer than the decoder, or more."""
        there = range(len(model.attention[kind]))
        return tuple(layer for layer in there if self.layers is None or layer in self.layers)

    def check(self, model: Seq2Seq) -> None:
        """Raise UserError if nothing would be kept of one of the kinds."""
        for kind in self.kinds:
            if not self.layers_of(kind, model):
                raise UserError(
                    f"--attention-layers: none of these for the {KINDS[kind].label}, whose layers are 0 to "
                    f"{len(model.attention[kind]) - 1}"
                )


EVERYTHING = AttentionSelection()
