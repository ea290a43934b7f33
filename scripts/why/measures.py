"""Measure the trained models: BLEU by length, exact lines by length, alignment error rate."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from translate import load
from translate.alignment.aligner import Pairing, TrialResult, try_all
from translate.alignment.error_rate import GoldFile
from translate.alignment.methods import MapChoice
from translate.alignment.settings import AlignmentConfig, AlignmentOptions
from translate.alignment.sources import open_lines
from translate.api import load_translator
from translate.data.readers.lines import read_lines
from translate.evaluation.metrics import MetricConfig, score, significance
from translate.run.folder import Run
from why.experiment import Plan, Task
from why.results import Record
from why.texts import Sides, Texts

BLEU = MetricConfig(("bleu",))


def translation_scores(task: Task, run: Run, texts: Texts, plan: Plan) -> Record:
    """Translate the test text and return its scores, whole and by number of source words."""
    sources, references = (list(read_lines(path)) for path in texts.test[:2])
    translations = load(run.path, plan.device).translate(sources)
    groups = [_bleu(translations, references)]
    lengths = [len(line.split()) for line in sources]
    for first, last, lines in task.groups(lengths):
        chosen = _bleu([translations[line] for line in lines], [references[line] for line in lines])
        place = {"first": first, "last": last, "mean": fmean(lengths[line] for line in lines)}
        groups.append(place | chosen)
    return {"all": groups[0], "groups": groups[1:], "translations": translations}


def _bleu(translations: Sequence[str], references: Sequence[str]) -> Record:
    found = score(translations, [references], BLEU)["bleu"]
    tested = significance(translations, translations, [references], BLEU)["bleu"]  # for the confidence interval only
    return {"lines": len(translations), "bleu": found.value, "margin": tested.margin, "signature": found.signature}


def exact_lines(run: Run, texts: Texts, plan: Plan) -> Record:
    """Translate the test strings; return how many there are of each length, and how many are exact."""
    sources, references = (list(read_lines(path)) for path in texts.test[:2])
    translations = load(run.path, plan.device).translate(sources)
    lines: dict[int, int] = {}
    exact: dict[int, int] = {}
    for source, translation, reference in zip(sources, translations, references, strict=True):
        lines[len(source)] = lines.get(len(source), 0) + 1
        exact[len(source)] = exact.get(len(source), 0) + (translation == reference)
    return {"lengths": list(lines), "lines": list(lines.values()), "exact": list(exact.values())}


def alignment_error(run: Run, texts: Texts, plan: Plan) -> Record:
    """Choose map and method by the validation text, and return their error rates there and on the test text."""
    valid = _trial(run, texts.valid, None, plan)
    test = _trial(run, texts.test, valid, plan)
    return {
        "layer": valid.choice.layer,  # None: the mean over all
        "head": valid.choice.head,
        "method": str(valid.config),
        "valid": valid.score.error_rate,
        **test.score._asdict(),
    }


def _trial(run: Run, text: Sides, chosen: TrialResult | None, plan: Plan) -> TrialResult:
    """Score the chosen map and method on a text, or all of them, and return the best."""
    assert text.align
    lines = open_lines(run.path, text.src, text.tgt, lambda path: load_translator(path, plan.device))
    pairing = Pairing(lines)
    choices: list[MapChoice] = [chosen.choice] if chosen else pairing.choices()
    configs: list[AlignmentConfig] = [chosen.config] if chosen else AlignmentOptions().configs(is_both_ways=False)
    return try_all(pairing, choices, configs, GoldFile(text.align)).best
