"""The runs that a server offers: their translators, languages, and sentences of their own text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from translate.api.loading import load_translator
from translate.attention.extract import engine_of
from translate.config.languages import language_name
from translate.config.settings import Config
from translate.data.encoded_corpus import open_corpus
from translate.decoding.line_translator import LineTranslator
from translate.errors import UserError
from translate.markup.links import Linker
from translate.model.attention_kinds import map_kinds
from translate.run.folder import Run
from translate.system.device import keep_freed_memory
from translate.system.files import resolved
from translate.system.terminal_text import print_message, spelled_out

NUM_EXAMPLES = 20
NUM_SAMPLED = 2_000  # pairs of the validation text from which languages are learned
SHOWN_SETTINGS = ("beam_size", "length_penalty", "temperature", "top_k", "top_p", "seed")


class Language(NamedTuple):
    """A language: its code, such as en, and its English name."""

    code: str
    name: str


class Example(NamedTuple):
    """A pair of the validation text."""

    source: str
    reference: str


@dataclass(frozen=True)
class ServedRun:
    """A run in memory. Nothing is read from its folder after loading, so that it may be replaced."""

    name: str
    folder: Path
    config: Config
    translator: LineTranslator
    live: LineTranslator  # shows its attention, so it runs in PyTorch, whatever translates
    linker: Linker | None  # aligns the words of a sentence with markup; None: the model has no attention
    source: Language
    target: Language
    sample: Sequence[Example]  # of the validation text; empty if the run folder no longer has it
    version: tuple[int, ...] | None = None  # of the weights file

    @property
    def has_changed(self) -> bool:
        """Whether the run folder has other weights now, or none."""
        return _version(self.folder) != self.version

    @property
    def examples(self) -> Sequence[Example]:
        """A few pairs of the validation text, evenly spread."""
        return self.sample[:: max(1, len(self.sample) // NUM_EXAMPLES)][:NUM_EXAMPLES]

    @property
    def description(self) -> dict[str, Any]:
        """The entry of `GET /runs`."""
        model = engine_of(self.live).model
        return {
            "name": self.name,
            "architecture": self.config.model.architecture,
            "variant": self.config.model.variant,
            "source": self.source._asdict(),
            "target": self.target._asdict(),
            "heads": {kind: [layer.num_heads for layer in layers] for kind, layers in model.attention.items()},
            "settings": {name: getattr(self.config.decode, name) for name in SHOWN_SETTINGS},
            "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        }


def load_runs(folders: Sequence[Path], device: str, engine: str, precision: str) -> list[ServedRun]:
    """Load the runs; see `load_translator`. A run is named after its folder, or its path if two have the same name.

    They are loaded in a thread that ends: OpenMP keeps threads for each thread that has computed and still exists, and
    if they are more than the cores, a lone sentence takes twice as long.
    """
    keep_freed_memory()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_load_runs, folders, device, engine, precision).result()


def _load_runs(folders: Sequence[Path], device: str, engine: str, precision: str) -> list[ServedRun]:
    places = {resolved(folder): folder for folder in folders}  # each once
    counts = Counter(place.name for place in places)
    served = []
    for place, folder in places.items():
        name = place.name
        name = spelled_out(name if counts[name] == 1 else str(folder), "\n")
        version = _version(folder)
        translator = load_translator(folder, device, engine, precision)
        live = translator if engine == "torch" else load_translator(folder, device)
        if live.engine.weights != translator.engine.weights:
            raise UserError(f"{folder}: changed while it was being loaded; run the command again")
        config = Run.open(folder).load_config()
        if not all(config.data.languages):
            advice = f'set data.src_lang = "en" and data.tgt_lang = "de", for example, in {folder / "config.toml"}'
            print_message(f"note: {folder}: its languages are unknown, so they are called src and tgt; {advice}")
        codes = [code or unknown for code, unknown in zip(config.data.languages, ("src", "tgt"), strict=True)]
        source, target = (Language(code, language_name(code)) for code in codes)
        sample = _sample(folder, translator)
        linker = Linker(live, folder) if "cross" in map_kinds(engine_of(live).model.attention) else None
        served.append(ServedRun(name, folder, config, translator, live, linker, source, target, sample, version))
    return served


def _version(folder: Path) -> tuple[int, ...] | None:
    try:
        found = Run(folder).weights_path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _sample(folder: Path, translator: LineTranslator) -> list[Example]:
    """Return pairs from all over the encoded validation text, or none if it is gone."""
    src, tgt = translator.vocabs
    try:
        corpus = open_corpus(folder / "corpus" / "valid", translator.vocabs)
    except (UserError, OSError):
        corpus = None
    if corpus is None or not len(corpus):
        return []
    rows = np.unique(np.linspace(0, len(corpus) - 1, NUM_SAMPLED).astype(int))
    return [
        Example(src.decode(corpus.src[row][:-1].tolist()), tgt.decode(corpus.tgt[row][:-1].tolist())) for row in rows
    ]
