"""The `translate train` command."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from translate.commands import options
from translate.errors import UserError
from translate.system.distributed import World, joined
from translate.system.terminal_text import print_result

if TYPE_CHECKING:
    from translate.run.folder import Run
    from translate.training.resolve_config import ResolvedConfig

Out = Annotated[Path | None, Option(metavar="RUN", help="Run folder.  [default: runs/NAME from CONFIG.toml or --src]")]
EPILOG = """\b
Examples:
  translate train configs/toy.toml --out runs/toy
  translate train --src train.en --tgt train.fr --set train.max_minutes=30
  translate train --src train.en --tgt train.fr --dry-run
  translate train --init-from runs/toy --src new.en --tgt new.fr --out runs/tuned
  translate train --resume --out runs/toy --set train.max_steps=4000
"""


def train(
    config: options.Config = None,
    src: options.TrainSrc = None,
    tgt: options.TrainTgt = None,
    valid_src: options.ValidSrc = None,
    valid_tgt: options.ValidTgt = None,
    align: Annotated[str | None, Option(metavar="FILE", help="Word alignments for guided attention.")] = None,
    init_from: Annotated[str | None, Option(metavar="RUN", help="Run folder to fine-tune (same vocabulary).")] = None,
    overrides: options.Set = None,
    out: Out = None,
    resume: Annotated[bool, Option("--resume", help="Resume the run from its latest checkpoint.")] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="Train for only a few steps and print estimates.")] = False,
    device: options.Device = "auto",
) -> None:
    """Train a model and write it to a run folder.

    Pass a settings file, two text files, or both. Without a settings file, settings are chosen to suit the text. The
    run's config.toml lists and explains every setting. Paths in a settings file are relative to that file; paths
    on the command line are relative to the working directory.
    """
    from translate.run.folder import Run
    from translate.training.resolve_config import resolve_new, resolve_resumed

    files = {"train_src": src, "train_tgt": tgt, "valid_src": valid_src, "valid_tgt": valid_tgt, "train_align": align}
    given = options.given_settings(overrides, **files)
    given |= {"train.init_from": init_from} if init_from is not None else {}
    name = config.stem if config else Path(src or "run").name.partition(".")[0]
    run = Run(out or Path("runs") / name)
    with joined(f"checkpoints are in {run.path}/checkpoints; to continue, run the same command with --resume") as world:
        if resume:
            resolved = resolve_resumed(Run.open(run.path), config, given)
        elif world.is_first and not dry_run:
            run.refuse_used()  # checked before the text is read
        if dry_run and (resume or world.size > 1):
            raise UserError("--dry-run works only for a new run in a single process; leave out --resume and torchrun")
        if not resume:
            resolved = resolve_new(config, given, device)
        if dry_run:
            _dry_run(resolved, device)
        else:
            _train(run, resolved, device, world, resume)


def _train(run: Run, resolved: ResolvedConfig, device: str, world: World, resume: bool) -> None:
    """Train in a new run folder, or resume an existing run."""
    from translate.run.folder import Run, new_training, training_alone
    from translate.system.device import pick_device
    from translate.training.loop import train

    torch_device = pick_device(device)
    if not world.is_first:
        train(run, resolved.config, torch_device, world)
    elif resume:
        with training_alone(run):
            run = Run.resume(run.path, resolved.config)
            run.write_chosen(resolved.chosen)
            train(run, resolved.config, torch_device, world)
    else:
        with new_training(run.path, resolved.config) as run:
            run.write_chosen(resolved.chosen)
            train(run, resolved.config, torch_device, world, resolved.reasons, resolved.scan)


def _dry_run(resolved: ResolvedConfig, device: str) -> None:
    """Print the reasons for the settings and a report on the first steps."""
    from translate.run.folder import Run
    from translate.system.device import pick_device
    from translate.training.estimate import dry_run

    with tempfile.TemporaryDirectory(prefix="translate-") as folder:
        run = Run.create(Path(folder), resolved.config)
        for line in (*resolved.reasons, *dry_run(run, resolved.config, pick_device(device), resolved.scan)):
            print_result(line)
