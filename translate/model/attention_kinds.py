"""Attention kinds and head names. This module does not import torch."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, cast

from translate.errors import UserError

KindName = Literal["cross", "encoder", "decoder", "self"]  # the names used in options, files and JSON
Side = Literal["source", "target", "both"]
Item = TypeVar("Item", int, list[int], tuple[str, ...])


@dataclass(frozen=True)
class Kind:
    """A kind of attention. In its maps, each row piece attends to the column pieces."""

    name: KindName
    label: str
    rows: Side
    columns: Side
    is_causal: bool = (
        False  # each target row attends only to `<s>` and the preceding pieces (and to the source, if any)
    )

    @property
    def row_axis(self) -> str:
        """The axis label of the rows."""
        return {"source": "source", "target": "target, produced", "both": "source, then target produced"}[self.rows]

    @property
    def column_axis(self) -> str:
        """The axis label of the columns."""
        return {"source": "source", "target": "target, read", "both": "source, then target read"}[self.columns]

    def sides(self, source: Item, target: Item) -> tuple[Item, Item]:
        """Given one item per side, return the item for the rows and the item for the columns. "both" is their sum."""
        items: dict[Side, Any] = {"source": source, "target": target}
        if "both" in (self.rows, self.columns):
            items["both"] = source + target
        return items[self.rows], items[self.columns]


KINDS: dict[KindName, Kind] = {
    "cross": Kind("cross", "encoder-decoder attention", rows="target", columns="source"),
    "encoder": Kind("encoder", "encoder self-attention", rows="source", columns="source"),
    "decoder": Kind("decoder", "decoder self-attention", rows="target", columns="target", is_causal=True),
    "self": Kind("self", "self-attention over source and target", rows="both", columns="both", is_causal=True),
}
BLOCK = "attention from target to source (a block of the self-attention)"  # instead of encoder-decoder attention
NO_ATTENTION = 'the model has no attention (model.attention = "none")'
OTHER_RUN = "use a run with attention"
HEAD = re.compile(rf"({'|'.join(KINDS)})\.([0-9]{{1,9}})\.([0-9]{{1,9}})")


def label_of(kind: KindName, available: Collection[KindName]) -> str:
    """Return the label of the maps of a kind. available: all kinds of maps that there are."""
    return BLOCK if kind == "cross" and "self" in available else KINDS[kind].label


def map_kinds(modules: Collection[KindName]) -> tuple[KindName, ...]:
    """Return the kinds of maps that a model with these kinds of modules has.

    Without encoder-decoder attention, the part of `self` in which target pieces attend to the source is `cross`.
    """
    return tuple(kind for kind in KINDS if kind in modules or (kind == "cross" and "self" in modules))


def module_kind(kind: KindName, modules: Collection[KindName], run: Path | None = None) -> KindName:
    """Return the kind of the modules that compute the maps of a kind. Raises UserError if the model has none.

    run: the model's run folder, for the message.
    """
    available, place = map_kinds(modules), f"{run}: " if run else ""
    if not available:
        raise UserError(f"{place}{NO_ATTENTION}; {OTHER_RUN}")
    if kind not in available:
        raise UserError(f"{place}the model has no {KINDS[kind].label}; available: {', '.join(available)}")
    return kind if kind in modules else "self"


class Head(NamedTuple):
    """An attention head, for example `cross.1.2`. Layers and heads are numbered from 0."""

    kind: KindName
    layer: int
    head: int

    @classmethod
    def parse(cls, text: str, heads: Collection[Head], option: str = "--mask") -> Head:
        """Parse the value of an option. Raises UserError if it does not name one of `heads`."""
        if not heads:
            raise UserError(f"{option} {text}: {NO_ATTENTION}; {OTHER_RUN}")
        match = HEAD.fullmatch(text)
        if match and (head := cls(cast("KindName", match[1]), int(match[2]), int(match[3]))) in heads:
            return head
        by_kind = [[head for head in heads if head.kind == kind] for kind in KINDS]
        available = "; ".join(" to ".join(dict.fromkeys(map(str, (each[0], each[-1])))) for each in by_kind if each)
        reason = "the model has no such head" if match else "expected kind.layer.head"
        if match and cls("self", int(match[2]), int(match[3])) in heads:
            reason = f"masking works for whole heads, so pass self.{match[2]}.{match[3]}"
        raise UserError(f"{option} {text}: {reason}; available heads: {available}")

    def __str__(self) -> str:
        return ".".join(map(str, self))
