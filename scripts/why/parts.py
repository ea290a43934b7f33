"""Carry out the parts of the experiment, leaving out what is already done."""

from __future__ import annotations

from functools import partial

from benchmarks.report import processor
from benchmarks.work import say

from translate.errors import UserError
from why.experiment import ALIGNED_TASKS, ARCHITECTURES, TASKS, TIMED_TASKS, Part, Plan, Task, label
from why.measures import alignment_error, exact_lines, translation_scores
from why.results import Results
from why.speed import ROUNDS, measure_lengths, measure_round
from why.texts import Texts, texts_of
from why.training import trained


def carry_out(part: Part, plan: Plan, results: Results) -> None:
    """Train and measure what is missing of a part. A task without its corpus is skipped."""
    measures = {"alignment": (ALIGNED_TASKS, _align_all), "speed": (TIMED_TASKS, _measure_speed)}
    names, measure = measures.get(part, ([task.name for task in TASKS if task.part == part], _learn_all))
    for task in (task for task in TASKS if task.name in names):
        try:
            texts = texts_of(task, plan)
        except UserError as error:
            say(f"{part}: {task.title} is skipped: {error}")
        else:
            measure(task, texts, plan, results)


def _learn_all(task: Task, texts: Texts, plan: Plan, results: Results) -> None:
    """Train all models, and measure what they learned."""
    for architecture in ARCHITECTURES:
        _learn(task, architecture, texts, plan, results)


def _learn(task: Task, architecture: str, texts: Texts, plan: Plan, results: Results) -> None:
    run, name = trained(task, architecture, texts, plan, results), label(task, architecture)
    if task.part == "digits":
        results.keep(f"exact-{name}", lambda: exact_lines(run, texts, plan))
    else:
        results.keep(f"score-{name}", lambda: translation_scores(task, run, texts, plan))


def _align_all(task: Task, texts: Texts, plan: Plan, results: Results) -> None:
    """Measure the alignments of all models that have maps."""
    for architecture in ARCHITECTURES:
        _align(task, architecture, texts, plan, results)


def _align(task: Task, architecture: str, texts: Texts, plan: Plan, results: Results) -> None:
    run = trained(task, architecture, texts, plan, results)
    if run.load_config().model.cross_shape.num_heads:
        results.keep(f"alignment-{label(task, architecture)}", lambda: alignment_error(run, texts, plan))


def _measure_speed(task: Task, texts: Texts, plan: Plan, results: Results) -> None:
    """Measure the speed of all architectures, in turn: on a corpus, which they must have learned, or by length."""
    if task.part == "digits":
        measure = partial(measure_lengths, task, plan)
    else:
        _learn_all(task, texts, plan, results)
        measure = partial(measure_round, task, texts, plan)
    device = "" if plan.device == "cpu" else f"{plan.device}; "
    machine = f"{device}{processor()}, threads used: {plan.threads}"
    for number in range(1, 2 if plan.is_quick else ROUNDS + 1):
        results.keep(f"speed-{task.name}-{number}", lambda: {"machine": machine, "speeds": measure()})
