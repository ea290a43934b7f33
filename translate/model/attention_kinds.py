"""The kinds of attention, and how a head is named. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar, cast

from translate.errors import UserError

KindName = Literal["cross", "encoder", "decoder"]  # as options, files and JSON spell it
Side = Literal["source", "target"]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Kind:
    """A kind of attention: the pieces of one side, a map's rows, attend to those of a side, its columns."""

    name: KindName
    label: str
    rows: Side
    columns: Side
    is_causal: bool = False  # a row attends to `<s>` and the pieces before its own, and its columns are these

    @property
    def row_axis(self) -> str:
        """What the rows are."""
        return "source" if self.rows == "source" else "target, produced"

    @property
    def column_axis(self) -> str:
        """What the columns are."""
        return "source" if self.columns == "source" else "target, read"

    def sides(self, source: Item, target: Item) -> tuple[Item, Item]:
        """Given something for each side, what belongs to the rows and what to the columns."""
        return source if self.rows == "source" else target, source if self.columns == "source" else target


KINDS: dict[KindName, Kind] = {
    "cross": Kind("cross", "encoder-decoder attention", rows="target", columns="source"),
    "encoder": Kind("encoder", "encoder self-attention", rows="source", columns="source"),
    "decoder": Kind("decoder", "decoder self-attention", rows="target", columns="target", is_causal=True),
}
HEAD = re.compile(rf"({'|'.join(KINDS)})\.([0-9]{{1,9}})\.([0-9]{{1,9}})")


class Head(NamedTuple):
    """A head of a model, written `cross.1.2`. Layers and heads count from 0."""

    kind: KindName
    layer: int
    head: int

    @classmethod
    def parse(cls, text: str, heads: Collection[Head]) -> Head:
        """Return the one of `heads` that `--mask` names. Raises UserError where it names none of them."""
        match = HEAD.fullmatch(text)
        if match and (head := cls(cast("KindName", match[1]), int(match[2]), int(match[3]))) in heads:
            return head
        by_kind = [[head for head in heads if head.kind == kind] for kind in KINDS]
        there = "; ".join(f"{each[0]} to {each[-1]}" for each in by_kind if each)
        trouble = "no such head" if match else "a head is written kind.layer.head"
        raise UserError(f"--mask {text}: {trouble}; there are {there}")

    def __str__(self) -> str:
        return ".".join(map(str, self))
