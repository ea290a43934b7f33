"""The `--attention` option and the options that go with it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from translate.attention.selection import AttentionSelection, StoredType
from translate.errors import UserError
from translate.model.attention_kinds import KINDS
from translate.system.browser import open_page
from translate.system.terminal_text import print_message

if TYPE_CHECKING:
    from translate.decoding.line_translator import LineTranslator
    from translate.report.attention_folder import AttentionWriter


class MapOptions(NamedTuple):
    """The options that need --attention DIR."""

    kinds: str
    layers: str
    precision: StoredType
    is_opened: bool


def parse_selection(folder: Path | None, options: MapOptions) -> AttentionSelection | None:
    """Parse the options; return None if no folder is given. Raises UserError for unknown kinds or malformed layers."""
    kinds, layers, precision, is_opened = options
    if not folder:
        if kinds or layers or precision != "float32" or is_opened:
            raise UserError(
                "--attention-kinds, --attention-layers, --attention-precision and --open need --attention DIR"
            )
        return None
    chosen = [part.strip() for part in kinds.split(",")] if kinds else []
    for kind in chosen:
        if kind not in KINDS:
            raise UserError(f"--attention-kinds: unknown kind {kind!r}; choose from {', '.join(KINDS)}")
    numbers = [part.strip() for part in layers.split(",")] if layers else []
    if not all(number.isascii() and number.isdigit() and len(number) < 10 for number in numbers):
        raise UserError(f"--attention-layers: {layers!r} is not a list of layer numbers, such as 0,2")
    ordered = tuple(kind for kind in KINDS if kind in chosen)
    return AttentionSelection(ordered or None, tuple(sorted(set(map(int, numbers)))) or None, precision)


def report_folder(folder: Path, is_opened: bool) -> None:
    """Say how to look at a finished attention folder, and open it in the browser if that was requested."""
    page = folder / "index.html"
    print_message(f"attention maps: open {page} in a browser")
    if is_opened:
        open_page(page)


def attention_writer(
    folder: Path | None,
    run: Path,
    translator: LineTranslator,
    device: str,
    selection: AttentionSelection | None,
    text: Iterable[str] | None,
) -> AbstractContextManager[AttentionWriter | None]:
    """Return a writer if an attention folder was requested, otherwise None. The torch engine always computes the maps.

    text: the entire input, if it can be read in advance; the writer then estimates the size of the folder.
    """
    if not folder or not selection:
        return nullcontext()
    from translate.api import load_translator
    from translate.decoding.torch_engine import TorchEngine
    from translate.report.attention_folder import AttentionWriter, TextSample
    from translate.run.folder import Run

    sample = TextSample.of(text) if text is not None else None
    reader = translator if isinstance(translator.engine, TorchEngine) else load_translator(run, device)
    if reader.engine.weights[0] != translator.engine.weights[0]:
        raise UserError(f"{run}: its weights were replaced while they were being loaded; run the command again")
    return AttentionWriter(folder, Run.open(run), reader, selection, sample, print_message)
