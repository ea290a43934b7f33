"""Select which attention to keep and in what precision. For fast startup, torch and numpy are not imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from translate.errors import UserError
from translate.model.attention_kinds import KINDS, KindName, map_kinds, module_kind

if TYPE_CHECKING:
    from pathlib import Path

    from translate.model.seq2seq import Seq2Seq

StoredType = Literal["float32", "float16"]


class AttentionSelection(NamedTuple):
    """The kinds and layers of attention to keep, and the data type used to store them."""

    kinds: tuple[KindName, ...] | None = None  # None for all that the model has
    layers: tuple[int, ...] | None = None  # numbered from 0; None for all
    dtype: StoredType = "float32"

    def layers_in(self, model: Seq2Seq, run: Path | None = None) -> dict[KindName, tuple[int, ...]]:
        """Return the selected kinds, each with its selected layers. Kinds may have different numbers of layers.

        Raises UserError, which names the run, if the model lacks a kind, has no attention at all, or if no layer of a
        kind is selected.
        """
        found = {}
        for kind in self.kinds or map_kinds(model.attention) or KINDS:
            existing = range(len(model.attention[module_kind(kind, model.attention, run)]))
            found[kind] = tuple(layer for layer in existing if self.layers is None or layer in self.layers)
            if not found[kind]:
                label, layers = KINDS[kind].label, ", ".join(map(str, existing))
                raise UserError(f"--attention-layers: no layer of the {label} is selected; available: {layers}")
        return found


EVERYTHING = AttentionSelection()
