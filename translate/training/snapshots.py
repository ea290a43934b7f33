"""Attention while learning: the maps of a few validation pairs, recorded at each validation, and the page of them.

`RUN/probes/step-NNNNNNNN/NNNNNN.npz` holds the maps of a pair, with the reference as the translation: the rows and
columns are the same at every step, and what changes is the model.
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
    """Write the maps that the model has of the probe pairs at a step, and the page over all steps so far.

    The model is left in training mode, and no random number is drawn.
    """
    probes = _probes(prepared, config)
    if not probes:
        return
    folder = run.probes_path / f"step-{step:08d}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.eval()
    translator = Translator(TorchEngine([model], prepared.vocabs, device), prepared.vocabs, config)
    maps = attention_maps(translator, [probe.ids for probe in probes])
    model.train()
    for number, each in enumerate(maps, start=1):
        each.save(folder / f"{number:06d}.npz")
    page = run.probes_path / "index.html"
    write_page(page, f"{run.path.name}: attention while learning", _sentences(run, probes, step), InitialView(), None)


class _Probe(NamedTuple):
    text: Pair
    ids: tuple[Pieces, Pieces]  # `</s>` last on both sides


def _probes(prepared: Prepared, config: Config) -> list[_Probe]:
    """The first validation pairs that are not too long to be drawn."""
    src, tgt = prepared.vocabs
    encoded = (
        _Probe(pair, ([*src.encode([pair.src])[0], src.eos_id], [*tgt.encode([pair.tgt])[0], tgt.eos_id]))
        for pair in prepared.valid_pairs
    )
    short = (probe for probe in encoded if max(map(len, probe.ids)) <= config.data.max_pieces)
    return list(islice(short, config.train.probe_sentences))


def _sentences(run: Run, probes: Sequence[_Probe], step: int) -> Iterator[PageSentence]:
    """What the page shows: of each pair the maps of all steps up to this one."""
    found = ((STEP_FOLDER.fullmatch(path.name), path) for path in run.probes_path.iterdir())
    steps = sorted((int(match[1]), path) for match, path in found if match and int(match[1]) <= step)
    for number, probe in enumerate(probes, start=1):
        files = [(at, path / f"{number:06d}.npz") for at, path in steps]
        versions = (MapVersion(f"step {at:,}", AttentionMaps.load(file)) for at, file in files if file.exists())
        yield PageSentence(number, *probe.text, None, (), tuple(versions))
