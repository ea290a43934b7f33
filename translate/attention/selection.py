"""Select which attention to keep and in what precision. For fast startup, torch and numpy are not imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from translate.errors import UserError
from translate.model.attention_kinds import KINDS, KindName

if TYPE_CHECKING:
    from translate.model.seq2seq import Seq2Seq

StoredType = Literal["float32", "float16"]


class AttentionSelection(NamedTuple):
    """The kinds and layers of attention to keep, and the data type used to store them."""

    kinds: tuple[KindName, ...] = tuple(KINDS)
    layers: tuple[int, ...] | None = None  # numbered from 0; None for all
    dtype: StoredType = "float32"

    def layers_of(self, kind: KindName, model: Seq2Seq) -> tuple[int, ...]:
        """Return the selected layers that exist. The encoder and decoder may have different numbers of layers."""
        existing = range(len(model.attention[kind]))
        return tuple(layer for layer in existing if self.layers is None or layer in self.layers)

    def check(self, model: Seq2Seq) -> None:
        """Raise UserError if any of the selected kinds has no selected layer."""
        for kind in self.kinds:
            if not self.layers_of(kind, model):
                label, last = KINDS[kind].label, len(model.attention[kind]) - 1
                raise UserError(f"--attention-layers: no layer of the {label} is selected; its layers are 0 to {last}")


EVERYTHING = AttentionSelection()
