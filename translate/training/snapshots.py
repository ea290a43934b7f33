"""Attention snapshots: maps of a few validation pairs, recorded at each validation, and a page that shows them.

`RUN/snapshots/step-NNNNNNNN/NNNNNN.npz` holds the maps of a source line and its reference translation. Their rows and
columns stay the same at every step; only the weights of the model change. `scores.json` holds what validation found
at that step: its scores, and the model's own translations of the lines.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from translate.attention.extract import attention_maps
from translate.attention.maps import AttentionMaps
from translate.config.settings import Config
from translate.decoding.line_translator import LineTranslator
from translate.decoding.torch_engine import TorchEngine
from translate.report.page.frame import InitialView
from translate.report.page.writer import MapVersion, PageSentence, write_page
from translate.run.folder import Run
from translate.system.checked_json import read_record, typed, write_record
from translate.training.checkpoint import step_folders
from translate.training.prepare import Prepared
from translate.training.step import Trainer
from translate.training.validation import Sample, Validation

RECORD, FORMAT = "sha256.json", 1  # checksums of the files of a step; steps of older versions have none
SCORES = "scores.json"  # steps of older versions have none


@dataclass(frozen=True)
class Scores:
    """What validation found at a step."""

    valid_loss: float
    bleu: float | None
    chrf: float | None
    translations: tuple[str, ...]  # of the recorded lines

    @property
    def facts(self) -> tuple[str, ...]:
        """The figures as text; the attention page translates it."""
        figures = {"validation loss {:.3f}": self.valid_loss, "BLEU {:.1f}": self.bleu, "chrF {:.1f}": self.chrf}
        return tuple(text.format(figure) for text, figure in figures.items() if figure is not None)


def record_snapshots(
    run: Run, trainer: Trainer, prepared: Prepared, config: Config, step: int, result: Validation
) -> None:
    """Write attention maps of the first short validation pairs, and the page that shows all steps so far.

    Does nothing for a model without attention. result: the validation of this step. Leaves the model in training mode
    and draws no random numbers.
    """
    (src, tgt), samples, model = prepared.vocabs, result.samples, trainer.model
    encoded = (([*src.encode([x.source])[0], src.eos_id], [*tgt.encode([x.reference])[0], tgt.eos_id]) for x in samples)
    short = (each for each in zip(samples, encoded, strict=True) if max(map(len, each[1])) <= config.data.max_pieces)
    chosen = list(islice(short, config.train.snapshot_sentences))
    if not chosen or not model.attention:
        return
    folder = run.snapshots_path / f"step-{step:08d}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.eval()
    translator = LineTranslator(TorchEngine([model], prepared.vocabs, trainer.device), prepared.vocabs, config)
    maps = attention_maps(translator, [ids for _, ids in chosen])
    model.train()
    scores = Scores(result.loss, result.bleu, result.chrf, tuple(sample.translation for sample, _ in chosen))
    write_record(folder / SCORES, asdict(scores), FORMAT)
    names = [f"{number:06d}.npz" for number in range(1, len(maps) + 1)]
    write_record(
        folder / RECORD, {name: each.save(folder / name) for name, each in zip(names, maps, strict=True)}, FORMAT
    )
    page, title = run.snapshots_path / "index.html", f"{run.path.name}: attention during training"
    write_page(page, title, _sentences(run, [sample for sample, _ in chosen], step), InitialView(), None)


def _sentences(run: Run, samples: Sequence[Sample], step: int) -> Iterator[PageSentence]:
    """Yield the sentences of the page: each pair with its maps and translations at all steps up to `step`."""
    steps = sorted((at, path) for at, path in step_folders(run.snapshots_path).items() if at <= step)
    for index, sample in enumerate(samples):
        files = [(at, path / f"{index + 1:06d}.npz") for at, path in steps]
        versions = tuple(_version(at, file, index) for at, file in files if file.exists())
        yield PageSentence(index + 1, sample.source, sample.reference, None, (), versions)


def _version(step: int, file: Path, index: int) -> MapVersion:
    version, path = MapVersion(f"step {step:,}", _load(file)), file.parent / SCORES
    if not path.exists():
        return version
    advice = f"delete {path.parent}"
    scores = typed(Scores, read_record(path, FORMAT, advice), path, advice)
    return version._replace(written=scores.translations[index], facts=scores.facts)


def _load(path: Path) -> AttentionMaps:
    advice = f"delete {path.parent}"
    digests = read_record(path.parent / RECORD, FORMAT, advice) if (path.parent / RECORD).exists() else {}
    return AttentionMaps.load(path, digests.get(path.name))
