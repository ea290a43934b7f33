"""Training logs: train.log, metrics.jsonl, the progress bar and the training curves."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, NoReturn

from tqdm import tqdm

from translate.config.files import names_of
from translate.config.settings import Config
from translate.report.curves import save_curves
from translate.report.progress import announced
from translate.run.folder import Run
from translate.system.device import describe
from translate.system.products import ONEDNN
from translate.training.advice import advise_at_start, diagnose
from translate.training.checkpoint import Progress
from translate.training.estimate import format_minutes
from translate.training.loss import Losses, total
from translate.training.optimizer import learning_rate
from translate.training.pace import expected_steps, position_of, seconds_left
from translate.training.prepare import Prepared
from translate.training.step import StepResult, Trainer
from translate.training.validation import Validation

BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} steps [{elapsed}{postfix}]"
NUM_SAMPLES = 3  # translations in the log of a validation

MAX_EXAMPLE = 80  # characters of the validation sentence in an example
EXAMPLE = "a sentence to translate"  # where no validation sentence suits the command line


@dataclass
class Meter:
    """Totals over the steps since `start`. Skipped steps count only toward `num_tokens`."""

    start: Progress
    num_tokens: int = 0
    num_used: int = 0
    gradient_norms: float = 0.0
    losses: Losses | None = None

    def add(self, result: StepResult, num_tokens: int) -> None:
        """Add the result of a step on `num_tokens` target pieces."""
        self.num_tokens += num_tokens
        if result.is_used:
            self.losses = total([self.losses, result.losses]) if self.losses else result.losses
            self.gradient_norms += result.gradient_norm
            self.num_used += 1


def log_start(run: Run, config: Config, prepared: Prepared, trainer: Trainer, progress: Progress) -> None:
    """Log the device, the model size, the starting step and, for a new run, advice on its settings."""
    world, settings = trainer.world, config.train
    library = " by oneDNN" if trainer.precision == "float32" and progress.products == ONEDNN else ""
    run.log(f"training on {world.describe(describe(trainer.device))}, {trainer.precision}{library}")
    run.log(f"model: {trainer.num_parameters:,} parameters, target vocabulary of {prepared.vocabs.tgt.size:,} pieces")
    run.log(f"resumed after step {progress.step}" if progress.step else "starting from step 0")
    if position_of(progress) < settings.steps_before_rdrop:
        start = f"step {settings.steps_before_rdrop:,.0f}"
        if progress.schedule:
            start = f"{settings.rdrop_from:.0%} of the steps"
        run.log(f"R-Drop starts after {start} and doubles the time and memory per step")
    for advice in [] if progress.step else advise_at_start(prepared, config, world.size, run.load_chosen()):
        run.log(f"advice: {advice}")


def log_steps(run: Run, trainer: Trainer, progress: Progress, meter: Meter) -> str:
    """Log averages over the steps added to the meter. Returns them as text for the progress bar.

    All processes must call this function; only the first one logs.
    """
    # This process's share of the mean translation and alignment losses; empty if all steps were skipped.
    share = [float(loss) / meter.num_used for loss in meter.losses or () if loss is not None]
    losses = [sum(shares) for shares in zip(*trainer.world.gather(share), strict=True)]
    if not trainer.world.is_first:
        return ""
    names = ("train_loss", "alignment_loss")
    speed = meter.num_tokens / max(progress.seconds - meter.start.seconds, 1e-9)
    run.append_metrics(
        step=progress.step,
        epoch=progress.epoch,
        **{name: round(loss, 5) for name, loss in zip(names, losses, strict=False)},
        learning_rate=learning_rate(position_of(progress), trainer.settings),
        **_position(progress),
        gradient_norm=round(meter.gradient_norms / max(meter.num_used, 1), 5),
        tokens_per_second=round(speed, 1),
        minutes=round(progress.seconds / 60, 3),
    )
    text = "".join(f"loss {loss:.3f}, " for loss in losses[:1]) + f"{speed:,.0f} tokens/s"
    run.log(f"step {progress.step:,}, epoch {progress.epoch}: {text}{_time_left(progress, trainer)}")
    return text


def progress_bar(progress: Progress, trainer: Trainer) -> tqdm[NoReturn]:
    """Return a progress bar for `update_bar`. Only the first process shows it, if standard error is a terminal."""
    total = expected_steps(progress, trainer.settings)
    bar_format = BAR if total else "{n_fmt} steps [{elapsed}{postfix}]"
    bar_off = None if trainer.world.is_first else True
    return tqdm(total=total, initial=progress.step, bar_format=bar_format, disable=bar_off)


def update_bar(bar: tqdm[NoReturn], progress: Progress, trainer: Trainer, text: str) -> None:
    """Show a step in the progress bar, with the text of the last logged step and the time left."""
    bar.total = expected_steps(progress, trainer.settings)
    bar.set_postfix_str(f"{text}{_time_left(progress, trainer)}".removeprefix(", "), refresh=False)
    bar.update()


def log_validation(
    run: Run, config: Config, num_pieces: int, progress: Progress, result: Validation, is_best: bool
) -> None:
    """Log the validation scores and sample translations, and plot the training curves.

    The advice of each rule is logged only once per run; the rule's name is recorded in metrics.jsonl.
    """
    figures: dict[str, Any] = {
        "step": progress.step,
        "epoch": progress.epoch,
        "valid_loss": round(result.loss, 5),
        "perplexity": round(result.perplexity, 3),
        "bleu": result.bleu,
        "chrf": result.chrf,
        "different_outputs": result.different,
        "empty_outputs": result.empty,
        "signatures": result.signatures,
        "minutes": round(progress.seconds / 60, 3),
    }
    line = {name: figure for name, figure in figures.items() if figure is not None}
    line |= _position(progress)
    history = [*run.metrics(), line]
    logged = {name for past in history for name in past.get("advice", ())}
    found = diagnose(history, config, num_pieces, run.load_chosen())
    advice = {name: text for name, text in found.items() if name not in logged}
    if advice:
        line["advice"] = list(advice)
    run.append_metrics(**line)
    scores = _scores(result.loss, result.perplexity, result.bleu, result.chrf)
    run.log(f"validation at step {progress.step:,}: {scores}{' (best so far)' if is_best else ''}")
    for sample in result.samples[:NUM_SAMPLES]:
        for text in sample.source, f"→ {sample.translation}", f"= {sample.reference}":
            run.log(f"    {text}")
    for text in advice.values():
        run.log(f"advice: {text}")
    with run.tolerating_disk_errors("curves.png"), announced("drawing the learning curves"):
        save_curves(history, run.curves_path)


def log_end(
    run: Run, config: Config, prepared: Prepared, progress: Progress, reason: str | None, signal_number: int
) -> None:
    """Log why training ended (a limit or a signal), with the best scores and what to try next, or how to resume."""
    if reason:
        minutes = format_minutes(progress.seconds / 60)
        run.log(f"training ended: {reason}, after {minutes} of training; the weights are in {run.weights_path}")
        validations = [line for line in run.metrics() if "valid_loss" in line]
        if validations:
            sign = 1 if config.train.best_by == "valid_loss" else -1
            best = min(validations, key=lambda line: sign * line.get(config.train.best_by, 0.0))
            scores = _scores(best["valid_loss"], best["perplexity"], best.get("bleu"), best.get("chrf"))
            run.log(f"best validation: step {best['step']:,}, {scores}, on {_validation_text(run, config, prepared)}")
        run.log("try next:")
        for command in next_commands(run, config, prepared):
            run.log(f"    {command}")
    if signal_number:
        name = signal.Signals(signal_number).name
        resume = f"translate train --resume --out {quote(str(run.path))}"
        run.log(f"stopped by {name} after saving all progress; resume with: {resume}")


def next_commands(run: Run, config: Config, prepared: Prepared) -> list[str]:
    """Return commands, quoted for the shell, that translate with the run, show its attention, if any, and serve it."""
    sources = (pair.src for pair in prepared.valid_pairs)
    simple = (text for text in sources if len(text) <= MAX_EXAMPLE and text.isprintable() and not {*"-'"} & {*text})
    path, maps, example = map(quote, (str(run.path), str(run.path / "attention"), next(simple, EXAMPLE)))
    has_attention = config.model.cross_shape.num_layers > 0
    return [
        f"translate decode {path}",
        *[f"translate decode {path} {example} --attention {maps} --open"] * has_attention,
        f"translate serve {path} --open",
    ]


def _validation_text(run: Run, config: Config, prepared: Prepared) -> str:
    """Describe the text of the validation scores."""
    files = " and ".join(Path(name).name for name in names_of(config.data.valid_src))
    verb = "held out of" if (run.corpus_path / "valid.src.txt").exists() else "of"
    num_pairs, num_scored = len(prepared.valid), len(prepared.valid_pairs)
    scored = f" (BLEU and chrF: {num_scored:,} of them)" * (0 < num_scored < num_pairs)
    return f"{num_pairs:,} pairs {verb} {files or 'the training text'}{scored}"


def _scores(loss: float, perplexity: float, bleu: float | None, chrf: float | None) -> str:
    """Format the scores of a validation; BLEU and chrF are None if no lines were translated."""
    text = f"loss {loss:.3f}, perplexity {perplexity:.2f}"
    return text if bleu is None or chrf is None else f"{text}, BLEU {bleu:.1f}, chrF {chrf:.1f}"


def _position(progress: Progress) -> dict[str, float]:
    """Return the position in the schedule for metrics.jsonl, if it is not the number of the step."""
    return {"position": round(progress.schedule.position, 2)} if progress.schedule else {}


def _time_left(progress: Progress, trainer: Trainer) -> str:
    """Describe the remaining training time, if any limit is known."""
    left = seconds_left(progress, trainer.settings, trainer.settings.accumulate * trainer.world.size)
    return "" if left is None else f", {left / 60:.1f} min left"
