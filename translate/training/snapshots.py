"""Attention snapshots: maps of a few validation pairs, recorded at each validation, and a page that shows them.

`RUN/snapshots/step-NNNNNNNN/NNNNNN.npz` holds the maps of a source line and its reference translation. Their rows and
columns stay the same at every step; only the weights of the model change.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch

from translate.attention.extract import attention_maps
from translate.attention.maps import AttentionMaps
from translate.config.settings import Config
from translate.data.parallel_text import Pair
from translate.decoding.line_translator import LineTranslator
from translate.decoding.torch_engine import TorchEngine
from translate.model.seq2seq import Seq2Seq
from translate.report.page.writer import InitialView, MapVersion, PageSentence, write_page
from translate.run.folder import Run
from translate.system.checked_json import read_record, write_record
from translate.training.checkpoint import step_folders
from translate.training.prepare import Prepared

RECORD, FORMAT = "sha256.json", 1  # checksums of the files of a step; steps of older versions have none


def record_snapshots(
    run: Run, model: Seq2Seq, prepared: Prepared, config: Config, device: torch.device, step: int
) -> None:
    """Write attention maps of the first short validation pairs, and the page that shows all steps so far.

    Leaves the model in training mode and draws no random numbers.
    """
    (src, tgt), pairs = prepared.vocabs, prepared.valid_pairs
    encoded = (([*src.encode([pair.src])[0], src.eos_id], [*tgt.encode([pair.tgt])[0], tgt.eos_id]) for pair in pairs)
    short = (each for each in zip(pairs, encoded, strict=True) if max(map(len, each[1])) <= config.data.max_pieces)
    chosen = list(islice(short, config.train.snapshot_sentences))
    if not chosen:
        return
    folder = run.snapshots_path / f"step-{step:08d}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.eval()
    translator = LineTranslator(TorchEngine([model], prepared.vocabs, device), prepared.vocabs, config)
    maps = attention_maps(translator, [ids for _, ids in chosen])
    model.train()
    names = [f"{number:06d}.npz" for number in range(1, len(maps) + 1)]
    write_record(
        folder / RECORD, {name: each.save(folder / name) for name, each in zip(names, maps, strict=True)}, FORMAT
    )
    page, title = run.snapshots_path / "index.html", f"{run.path.name}: attention during training"
    write_page(page, title, _sentences(run, [pair for pair, _ in chosen], step), InitialView(), None)


def _sentences(run: Run, pairs: Sequence[Pair], step: int) -> Iterator[PageSentence]:
    """Yield the sentences of the page: each pair with its maps at all steps up to `step`."""
    steps = sorted((at, path) for at, path in step_folders(run.snapshots_path).items() if at <= step)
    for number, pair in enumerate(pairs, start=1):
        files = [(at, path / f"{number:06d}.npz") for at, path in steps]
        versions = (MapVersion(f"step {at:,}", _load(file)) for at, file in files if file.exists())
        yield PageSentence(number, *pair, None, (), tuple(versions))


def _load(path: Path) -> AttentionMaps:
    advice = f"delete {path.parent}"
    digests = read_record(path.parent / RECORD, FORMAT, advice) if (path.parent / RECORD).exists() else {}
    return AttentionMaps.load(path, digests.get(path.name))
