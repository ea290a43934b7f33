"""The kinds of attention."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["cross", "encoder", "decoder"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NAMES: dict[Kind, str] = {
    "cross": "encoder-decoder attention",
    "encoder": "encoder self-attention",
    "decoder": "decoder self-attention",
}
