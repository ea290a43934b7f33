"""Train the models, each with `translate.train`: finished ones are kept, interrupted ones resumed."""

from __future__ import annotations

import re

from benchmarks.work import say

from translate import train
from translate.errors import UserError
from translate.run.folder import Run
from why.experiment import Plan, Task, label, settings_of
from why.results import Record, Results
from why.texts import Sides, Texts


def trained(task: Task, architecture: str, texts: Texts, plan: Plan, results: Results) -> Run:
    """Train a model unless this is done, and return its run. Raises UserError if it began with other settings."""
    run, name = Run(plan.run_path(task, architecture)), label(task, architecture)
    settings = settings_of(task, architecture, plan)
    _check(results.keep(f"settings-{name}", lambda: settings), settings, run)
    results.keep(f"training-{name}", lambda: _train(run, settings, texts, plan))
    return run


def text_settings(texts: Texts) -> dict[str, object]:
    """Return the settings that name the texts to train on and to validate on."""
    names: dict[str, Sides] = {"train": texts.train, "valid": texts.valid}
    return {
        f"data.{part}_{side}": str(path)
        for part, sides in names.items()
        for side, path in (("src", sides.src), ("tgt", sides.tgt))
    }


def _check(before: Record, now: Record, run: Run) -> None:
    changed = [f"{name} = {before.get(name)} (now {now.get(name)})" for name in before | now
               if before.get(name) != now.get(name)]  # fmt: skip
    if changed:
        raise UserError(f"{run.path}: began with {', '.join(changed)}; choose another --out")


def _train(run: Run, settings: dict[str, object], texts: Texts, plan: Plan) -> Record:
    is_begun = run.config_path.exists()
    say(f"{run.path}: training {'resumes' if is_begun else 'begins'}")
    new = {} if is_begun else settings | text_settings(texts)
    translator = train(out=run.path, settings=new, resume=is_begun, device=plan.device)
    metrics, log = run.metrics(), run.log_path.read_text(encoding="utf-8")
    parameters, *_ = re.findall(r" model: ([\d,]+) parameters", log)
    *_, precision = re.findall(r" training on .*, (\w+)(?: by \w+)?$", log, re.MULTILINE)
    return {
        "parameters": int(parameters.replace(",", "")),
        "pieces": translator.vocabs.tgt.size,
        "steps": metrics[-1]["step"],
        "valid_loss": min(line["valid_loss"] for line in metrics if "valid_loss" in line),
        "precision": precision,
        "device": translator.engine.description,
    }
