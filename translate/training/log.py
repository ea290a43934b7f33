"""The training log: train.log, metrics.jsonl, the progress bar, the curves."""

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
    """Loss and speed from one point of a training on."""

    def __init__(self, start: Progress) -> None:
        self._start = start
        self._num_tokens = 0
        self._num_used = 0
        self._gradient_norms = 0.0
        self._losses: Losses | None = None

    def add(self, stepped: StepResult, num_tokens: int) -> None:
        """Count a step; the losses only of one that was used."""
        self._num_tokens += num_tokens
        if stepped.is_used:
            self._losses = total([self._losses, stepped.losses]) if self._losses else stepped.losses
            self._gradient_norms += stepped.gradient_norm
            self._num_used += 1

    def losses(self) -> list[float]:
        """The means of the steps' losses, or this process's share of them: of translation and, if guided, alignment.

        Empty where no step was used.
        """
        return [float(loss) / self._num_used for loss in self._losses or () if loss is not None]

    @property
    def gradient_norm(self) -> float:
        """The mean length of the steps' gradients before they are clipped; 0 where no step was used."""
        return self._gradient_norms / max(self._num_used, 1)

    def tokens_per_second(self, now: Progress) -> float:
        """Target pieces without padding."""
        return self._num_tokens / max(now.seconds - self._start.seconds, 1e-9)


def log_start(
    run: Run, settings: TrainSettings, num_parameters: int, num_pieces: int, progress: Progress, place: str
) -> None:
    """Write what will be trained, where, and from which step on."""
    run.log(f"training on {place}")
    run.log(f"model: {num_parameters:,} parameters, {num_pieces:,} pieces")
    run.log(f"resumed after step {progress.step}" if progress.step else "starting from step 0")
    if progress.step < settings.steps_before_rdrop:
        run.log(f"R-Drop after step {settings.steps_before_rdrop:,.0f}: then a step takes twice the time and memory")


def log_steps(
    run: Run, settings: TrainSettings, progress: Progress, losses: list[float], meter: Meter, learning_rate: float
) -> str:
    """Write how the last steps went. Returns what the progress bar shows of it.

    losses: a target piece, of translation and, if guided, alignment; none where no step was used.
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
    shown = ", ".join([*(f"loss {loss:.3f}" for loss in losses[:1]), f"{speed:,.0f} tokens/s"])
    if left is not None:
        shown += f", {left / 60:.1f} min left"
    run.log(f"step {progress.step:,}, epoch {progress.epoch}: {shown}")
    return shown


def log_advice(run: Run, advice: Iterable[str]) -> None:
    """Say what could be done better, a line each."""
    for text in advice:
        run.log(f"advice: {text}")


def log_validation(
    run: Run, config: Config, num_pieces: int, progress: Progress, result: Validation, is_best: bool
) -> None:
    """Write how the model does on the validation text, with a few of its translations, and draw the curves.

    What is now known to go wrong is told once, and its name noted in the line of metrics.jsonl.
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
    already = {name for past in history for name in past.get("advice", ())}
    advice = {name: text for name, text in diagnose(history, config, num_pieces).items() if name not in already}
    if advice:
        line["advice"] = list(advice)
    run.append_metrics(**line)
    told = f"loss {result.loss:.3f}, perplexity {result.perplexity:.2f}"
    if result.bleu is not None:
        told += f", BLEU {result.bleu:.1f}, chrF {result.chrf:.1f}"
    run.log(f"validation at step {progress.step:,}: {told}{' (the best so far)' if is_best else ''}")
    for sample in result.samples:
        run.log(f"    {sample.source}\n    → {sample.translation}\n    = {sample.reference}")
    log_advice(run, advice.values())
    with run.tolerating_disk_errors("curves.png"):
        save_curves(history, run.curves_path)


def log_end(run: Run, reason: str | None, signal_name: str | None) -> None:
    """Write why training ended, and how to use what it left or go on."""
    if reason:
        run.log(f"training ended: {reason}; the weights to use are in {run.weights_path}")
    if signal_name:
        run.log(f"stopped by {signal_name} with everything saved; to go on: translate train --resume --out {run.path}")


def _seconds_left(progress: Progress, settings: TrainSettings) -> float | None:
    """Until the first limit of steps or time, at the speed so far; validation apart. None while nothing tells."""
    last_steps = [float(settings.max_steps)] if settings.max_steps else []
    if settings.max_epochs and progress.epoch:
        last_steps.append(progress.step * settings.max_epochs / progress.epoch)
    passes = _passes_until(progress.step, settings)
    left = [(_passes_until(last, settings) / passes - 1) * progress.seconds for last in last_steps]
    if settings.max_minutes:
        left.append(60 * settings.max_minutes - progress.seconds)
    return max(0.0, min(left)) if left else None


def _passes_until(step: float, settings: TrainSettings) -> float:
    """Passes over a batch that the steps up to this one make."""
    return step + (max(0.0, step - settings.steps_before_rdrop) if settings.rdrop else 0.0)


MAX_BAD_STEPS = 3  # in a row; then training ends


def why_unused(step: int, where: str) -> str:
    """What the log says of a step that is not used. where: its lines."""
    return f"step {step:,} is not used: its loss or gradient is not a finite number; it is of {where}"


def why_given_up(kept: Progress, settings: TrainSettings, precision: str) -> str:
    """What ends a training with too many such steps. kept: the last step before them."""
    ways = [
        f"lower train.learning_rate ({settings.learning_rate:g})",
        f"raise train.warmup_steps ({settings.warmup_steps:,})",
        f"{'lower' if settings.clip_norm else 'set'} train.clip_norm ({settings.clip_norm:g})",
    ]
    if precision != "float32":
        ways.append('set train.precision to "float32"')
    return (
        f"training went astray: the loss or gradient of {MAX_BAD_STEPS} steps in a row, after step {kept.step:,}, is "
        f"not a finite number; {', '.join(ways[:-1])} or {ways[-1]}, and go on with --resume from step {kept.step:,}, "
        "the last that is saved, or remove that from the run's checkpoints to go on from the one before"
    )
