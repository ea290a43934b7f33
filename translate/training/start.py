"""Start or resume the training of a run, alone or with the processes that torchrun started."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from translate.report.progress import announced
from translate.run.folder import Run, new_training, training_alone
from translate.system.distributed import World, joined
from translate.training.resolve_config import LOADING, Importing, ResolvedConfig, resolve_new, resolve_resumed
from translate.training.tensorboard import check_tensorboard


def start_training(
    run: Run,
    config: Path | None,
    given: Mapping[str, object],
    device: str,
    is_resumed: bool = False,
    importing: Importing = nullcontext,
) -> None:
    """Train in a new run folder, or resume an existing run.

    config, given: a settings file, and settings by `section.key` that override it. importing: context in which torch is
    imported. Raises UserError if a setting is invalid or a text or folder cannot be used, and SystemExit(128 + signal)
    after a signal, once the state is saved.
    """
    with joined(f"checkpoints are in {run.path}/checkpoints; to continue, run the same command with --resume") as world:
        if is_resumed:
            resolved = resolve_resumed(Run.open(run.path), config, given)
        else:
            if world.is_first:
                run.refuse_used()  # checked before the text is read
            resolved = resolve_new(config, given, device, importing, world)
        _train(run, resolved, device, world, is_resumed, importing)


def _train(
    run: Run, resolved: ResolvedConfig, device: str, world: World, is_resumed: bool, importing: Importing
) -> None:
    check_tensorboard(resolved.config.train.tensorboard)
    with announced(LOADING), importing():  # after the settings are checked, because it is slow
        from translate.system.device import pick_device
        from translate.training.loop import train

    torch_device = pick_device(device)
    if not world.is_first:
        train(run, resolved.config, torch_device, world)
    elif is_resumed:
        with training_alone(run):
            run = Run.resume(run.path, resolved.config)
            run.write_chosen(resolved.chosen)
            train(run, resolved.config, torch_device, world)
    else:
        with new_training(run.path, resolved.config) as run:
            run.write_chosen(resolved.chosen)
            train(run, resolved.config, torch_device, world, resolved.reasons, resolved.scan)
