"""Attention kinds and head names. This module does not import torch."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar, cast

from translate.errors import UserError

KindName = Literal["cross", "encoder", "decoder", "self"]  # the names used in options, files and JSON
Side = Literal["source", "target"]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Kind:
    """A kind of attention. In its maps, each row piece attends to the column pieces."""

    name: KindName
    label: str
    rows: Side
    columns: Side
    is_causal: bool = False  # each row attends only to `<s>` and the preceding pieces, which are the columns

    @property
    def row_axis(self) -> str:
        """The axis label of the rows."""
        return "source" if self.rows == "source" else "target, produced"

    @property
    def column_axis(self) -> str:
        """The axis label of the columns."""
        return "source" if self.columns == "source" else "target, read"

    def sides(self, source: Item, target: Item) -> tuple[Item, Item]:
        """Given one item per side, return the item for the rows and the item for the columns."""
        return source if self.rows == "source" else target, source if self.columns == "source" else target


KINDS: dict[KindName, Kind] = {
    "cross": Kind("cross", "encoder-decoder attention", rows="target", columns="source"),
    "encoder": Kind("encoder", "encoder self-attention", rows="source", columns="source"),
    "decoder": Kind("decoder", "decoder self-attention", rows="target", columns="target", is_causal=True),
}
HEAD = re.compile(rf"({'|'.join(KINDS)})\.([0-9]{{1,9}})\.([0-9]{{1,9}})")


class Head(NamedTuple):
    """An attention head, for example `cross.1.2`. Layers and heads are numbered from 0."""

    kind: KindName
    layer: int
    head: int

    @classmethod
    def parse(cls, text: str, heads: Collection[Head], option: str = "--mask") -> Head:
        """Parse the value of an option. Raises UserError if it does not name one of `heads`."""
        match = HEAD.fullmatch(text)
        if match and (head := cls(cast("KindName", match[1]), int(match[2]), int(match[3]))) in heads:
            return head
        by_kind = [[head for head in heads if head.kind == kind] for kind in KINDS]
        available = "; ".join(f"{each[0]} to {each[-1]}" for each in by_kind if each)
        reason = "the model has no such head" if match else "expected kind.layer.head"
        raise UserError(f"{option} {text}: {reason}; available heads: {available}")

    def __str__(self) -> str:
        return ".".join(map(str, self))
