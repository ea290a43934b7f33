"""Attention snapshots: maps of a few validation pairs, recorded at each validation, and a page that shows them.

`RUN/snapshots/step-NNNNNNNN/NNNNNN.npz` holds the maps of a source line and its reference translation. Rows and columns
are the same at every step; only the model changes.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import torch

from translate.attention.extract import attention_maps
from translate.attention.maps import AttentionMaps
from translate.config.settings import Config
from translate.data.parallel_text import Pair
from translate.decoding.engine import Pieces
from translate.decoding.torch_engine import TorchEngine
from translate.decoding.translator import Translator
from translate.model.seq2seq import Seq2Seq
from translate.report.page.writer import InitialView, MapVersion, PageSentence, write_page
from translate.run.folder import Run
from translate.training.prepare import Prepared

STEP_FOLDER = re.compile(r"step-(\d{8,})")


def record_snapshots(
    run: Run, model: Seq2Seq, prepared: Prepared, config: Config, device: torch.device, step: int
) -> None:
    """Write the maps of the snapshot pairs at this step, and the page of all steps so far.

    Leaves the model in training mode and draws no random numbers.
    """
    pairs = _snapshot_pairs(prepared, config)
    if not pairs:
        return
    folder = run.snapshots_path / f"step-{step:08d}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.eval()
    translator = Translator(TorchEngine([model], prepared.vocabs, device), prepared.vocabs, config)
    maps = attention_maps(translator, [pair.ids for pair in pairs])
    model.train()
    for number, each in enumerate(maps, start=1):
        each.save(folder / f"{number:06d}.npz")
    page = run.snapshots_path / "index.html"
    write_page(page, f"{run.path.name}: attention during training", _sentences(run, pairs, step), InitialView(), None)


class _EncodedPair(NamedTuple):
    text: Pair
    ids: tuple[Pieces, Pieces]  # both end with `</s>`


def _snapshot_pairs(prepared: Prepared, config: Config) -> list[_EncodedPair]:
    """Encode the first validation pairs of at most `data.max_pieces` pieces per side."""
    src, tgt = prepared.vocabs
    encoded = (
        _EncodedPair(pair, ([*src.encode([pair.src])[0], src.eos_id], [*tgt.encode([pair.tgt])[0], tgt.eos_id]))
        for pair in prepared.valid_pairs
    )
    short = (pair for pair in encoded if max(map(len, pair.ids)) <= config.data.max_pieces)
    return list(islice(short, config.train.snapshot_sentences))


def _sentences(run: Run, pairs: Sequence[_EncodedPair], step: int) -> Iterator[PageSentence]:
    """Yield the sentences of the page: each pair with its maps at all steps up to this one."""
    matches = ((STEP_FOLDER.fullmatch(path.name), path) for path in run.snapshots_path.iterdir())
    steps = sorted((int(match[1]), path) for match, path in matches if match and int(match[1]) <= step)
    for number, pair in enumerate(pairs, start=1):
        files = [(at, path / f"{number:06d}.npz") for at, path in steps]
        versions = (MapVersion(f"step {at:,}", AttentionMaps.load(file)) for at, file in files if file.exists())
        yield PageSentence(number, *pair.text, None, (), tuple(versions))
