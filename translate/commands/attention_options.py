"""The options `--attention`, `--attention-kinds`, `--attention-layers` and `--attention-precision`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from translate.attention.selection import StoredType
from translate.errors import UserError
from translate.model.attention_kinds import KINDS

if TYPE_CHECKING:
    from translate.attention.selection import AttentionSelection
    from translate.decoding.results import Translation
    from translate.decoding.translator import Translator

LAYER = re.compile("[0-9]{1,9}")


def keep_of(folder: Path | None, kinds: str, layers: str, precision: StoredType) -> AttentionSelection | None:
    """Parse the options; None without a folder. Raises UserError for unknown kinds and malformed layers."""
    from translate.attention.selection import AttentionSelection

    if not folder:
        if kinds or layers or precision != "float32":
            raise UserError("--attention-kinds, --attention-layers and --attention-precision need --attention DIR")
        return None
    chosen = [part.strip() for part in kinds.split(",")] if kinds else list(KINDS)
    for kind in chosen:
        if kind not in KINDS:
            raise UserError(f"--attention-kinds: unknown kind {kind!r}; choose from {', '.join(KINDS)}")
    parts = [part.strip() for part in layers.split(",")] if layers else []
    if not all(LAYER.fullmatch(part) for part in parts):
        raise UserError(f"--attention-layers: {layers!r} is not a list of numbers from 0, such as 0,2")
    numbers = sorted(set(map(int, parts)))
    ordered = tuple(kind for kind in KINDS if kind in chosen)
    return AttentionSelection(ordered, tuple(numbers) or None, precision)


def with_attention(
    folder: Path,
    run: Path,
    translator: Translator,
    device: str,
    found: Iterable[Translation],
    keep: AttentionSelection,
    text: Iterable[str] | None,
) -> Iterator[Translation]:
    """Write the attention folder as translations pass. The torch engine computes the maps, whichever engine translates.

    text: the whole input, if it can be read beforehand; the size of the folder is then estimated.
    """
    from translate.api import load_translator
    from translate.decoding.torch_engine import TorchEngine
    from translate.report.attention_folder import Expected, write_attention
    from translate.report.progress import say
    from translate.run.folder import Run

    reader = translator if isinstance(translator.engine, TorchEngine) else load_translator(run, device)
    expected = Expected.of(text) if text is not None else None
    return write_attention(folder, Run.open(run), reader, found, keep, expected, say)
