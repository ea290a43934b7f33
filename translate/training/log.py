"""The training log: train.log, metrics.jsonl, the progress bar and the curves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from translate.config.settings import Config, TrainSettings
from translate.report.curves import save_curves
from translate.run.folder import Run
from translate.training.advice import diagnose
from translate.training.checkpoint import Progress
from translate.training.loss import Losses, total
from translate.training.step import StepResult
from translate.training.validation import Validation


class Meter:
    """Measures loss and speed of training from a given point on."""

    def __init__(self, start: Progress) -> None:
        self._start = start
        self._num_tokens = 0
        self._num_used = 0
        self._gradient_norms = 0.0
        self._losses: Losses | None = None

    def add(self, stepped: StepResult, num_tokens: int) -> None:
        """Add a step. The losses of skipped steps do not count."""
        self._num_tokens += num_tokens
        if stepped.is_used:
            self._losses = total([self._losses, stepped.losses]) if self._losses else stepped.losses
            self._gradient_norms += stepped.gradient_norm
            self._num_used += 1

    def losses(self) -> list[float]:
        """Return this process's share of the mean losses: translation and, with a guided head, alignment.

        Empty if all steps were skipped.
        """
        return [float(loss) / self._num_used for loss in self._losses or () if loss is not None]

    @property
    def gradient_norm(self) -> float:
        """Mean gradient norm before clipping; 0 if all steps were skipped."""
        return self._gradient_norms / max(self._num_used, 1)

    def tokens_per_second(self, now: Progress) -> float:
        """Target pieces per second, without padding."""
        return self._num_tokens / max(now.seconds - self._start.seconds, 1e-9)


def log_start(
    run: Run, settings: TrainSettings, num_parameters: int, num_pieces: int, progress: Progress, place: str
) -> None:
    """Log the device, the size of the model, and the step at which training starts."""
    run.log(f"training on {place}")
    run.log(f"model: {num_parameters:,} parameters, {num_pieces:,} pieces")
    run.log(f"resumed after step {progress.step}" if progress.step else "starting from step 0")
    if progress.step < settings.steps_before_rdrop:
        run.log(f"R-Drop after step {settings.steps_before_rdrop:,.0f}: each step then takes twice the time and memory")


def log_steps(
    run: Run, settings: TrainSettings, progress: Progress, losses: list[float], meter: Meter, learning_rate: float
) -> str:
    """Log the most recent steps. Returns the text for the progress bar.

    losses: translation and, with a guided head, alignment, per target piece; empty if all steps were skipped.
    """
    names = ("train_loss", "alignment_loss")
    speed = meter.tokens_per_second(progress)
    run.append_metrics(
        step=progress.step,
        epoch=progress.epoch,
        **{name: round(loss, 5) for name, loss in zip(names, losses, strict=False)},
        learning_rate=learning_rate,
        gradient_norm=round(meter.gradient_norm, 5),
        tokens_per_second=round(speed, 1),
        minutes=round(progress.seconds / 60, 3),
    )
    left = _seconds_left(progress, settings)
    text = ", ".join([*(f"loss {loss:.3f}" for loss in losses[:1]), f"{speed:,.0f} tokens/s"])
    if left is not None:
        text += f", {left / 60:.1f} min left"
    run.log(f"step {progress.step:,}, epoch {progress.epoch}: {text}")
    return text


def log_advice(run: Run, advice: Iterable[str]) -> None:
    """Log advice, one line for each."""
    for text in advice:
        run.log(f"advice: {text}")


def log_validation(
    run: Run, config: Config, num_pieces: int, progress: Progress, result: Validation, is_best: bool
) -> None:
    """Log the validation scores and a few translations, and draw the curves.

    The advice of each rule is logged only once; the name of the rule is recorded in metrics.jsonl.
    """
    figures = {
        "bleu": result.bleu,
        "chrf": result.chrf,
        "different_outputs": result.different,
        "empty_outputs": result.empty,
    }
    line: dict[str, Any] = {
        "step": progress.step,
        "epoch": progress.epoch,
        "valid_loss": round(result.loss, 5),
        "perplexity": round(result.perplexity, 3),
        **{name: round(figure, 4) for name, figure in figures.items() if figure is not None},
        "minutes": round(progress.seconds / 60, 3),
    }
    history = [*run.metrics(), line]
    logged = {name for past in history for name in past.get("advice", ())}
    advice = {name: text for name, text in diagnose(history, config, num_pieces).items() if name not in logged}
    if advice:
        line["advice"] = list(advice)
    run.append_metrics(**line)
    scores = f"loss {result.loss:.3f}, perplexity {result.perplexity:.2f}"
    if result.bleu is not None:
        scores += f", BLEU {result.bleu:.1f}, chrF {result.chrf:.1f}"
    run.log(f"validation at step {progress.step:,}: {scores}{' (the best so far)' if is_best else ''}")
    for sample in result.samples:
        run.log(f"    {sample.source}\n    → {sample.translation}\n    = {sample.reference}")
    log_advice(run, advice.values())
    with run.tolerating_disk_errors("curves.png"):
        save_curves(history, run.curves_path)


def log_end(run: Run, reason: str | None, signal_name: str | None) -> None:
    """Log why training ended and how to use or resume the run."""
    if reason:
        run.log(f"training ended: {reason}; the weights to use are in {run.weights_path}")
    if signal_name:
        run.log(f"stopped by {signal_name} with everything saved; to resume: translate train --resume --out {run.path}")


def _seconds_left(progress: Progress, settings: TrainSettings) -> float | None:
    """Estimate the training time left, in seconds, from the speed so far. Returns None if it is unknown."""
    final_steps = [float(settings.max_steps)] if settings.max_steps else []
    if settings.max_epochs and progress.epoch:
        final_steps.append(progress.step * settings.max_epochs / progress.epoch)
    passes = _passes_until(progress.step, settings)
    left = [(_passes_until(last, settings) / passes - 1) * progress.seconds for last in final_steps]
    if settings.max_minutes:
        left.append(60 * settings.max_minutes - progress.seconds)
    return max(0.0, min(left)) if left else None


def _passes_until(step: float, settings: TrainSettings) -> float:
    """Return the number of forward passes up to a step; each step with R-Drop has two."""
    return step + (max(0.0, step - settings.steps_before_rdrop) if settings.rdrop else 0.0)


MAX_BAD_STEPS = 3  # consecutive skipped steps after which training ends


def why_unused(step: int, where: str) -> str:
    """Explain a skipped step. where: its lines of the text."""
    return f"step {step:,} skipped: its loss or gradient is not finite; its batch came from {where}"


def why_diverged(step: int) -> str:
    """Explain that a weight is not finite."""
    return (
        f"training diverged: a weight at step {step} is not finite; lower train.learning_rate or raise "
        "train.warmup_steps, then start a new run, or --resume from the last checkpoint"
    )


def why_given_up(kept: Progress, settings: TrainSettings, precision: str) -> str:
    """Explain that training ended after too many skipped steps. kept: progress before these steps."""
    changes = [
        f"lower train.learning_rate ({settings.learning_rate:g})",
        f"raise train.warmup_steps ({settings.warmup_steps:,})",
        f"{'lower' if settings.clip_norm else 'set'} train.clip_norm ({settings.clip_norm:g})",
    ]
    if precision != "float32":
        changes.append('set train.precision to "float32"')
    return (
        f"training diverged: the loss or gradient was not finite in {MAX_BAD_STEPS} consecutive steps after step "
        f"{kept.step:,}; {', '.join(changes[:-1])} or {changes[-1]}, and --resume from step {kept.step:,}, the newest "
        "checkpoint, or delete that checkpoint to resume from the previous one"
    )
