"""translate train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from translate.commands import options
from translate.errors import UserError

if TYPE_CHECKING:
    import torch

    from translate.config.settings import Config
    from translate.run.folder import Run
    from translate.system.distributed import World


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
    align: Annotated[str | None, Option(metavar="FILE", help="Word alignments that guide attention.")] = None,
    init_from: Annotated[
        str | None, Option(metavar="RUN", help="Run to fine-tune: its weights and vocabulary.")
    ] = None,
    overrides: options.Set = None,
    out: Annotated[Path | None, Option(metavar="RUN", help="Run folder to write.  [default: runs/NAME]")] = None,
    resume: Annotated[bool, Option("--resume", help="Resume the run from its newest checkpoint.")] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="Run a few steps, and print estimates.")] = False,
    device: options.Device = "auto",
) -> None:
    """Train a model into a run folder.

    Give a settings file, two text files, or both. Without a settings file, settings are chosen to suit the text. The
    run's config.toml lists every setting with its meaning. Paths in a settings file are relative to that file; paths
    on the command line to the working directory.
    """
    from translate.config.toml import parse_override
    from translate.run.folder import Run
    from translate.system.distributed import joined
    from translate.training.resolve_config import load_new_config, load_resumed_config

    given = dict(parse_override(text) for text in overrides or [])
    files = {"train_src": src, "train_tgt": tgt, "valid_src": valid_src, "valid_tgt": valid_tgt, "train_align": align}
    given |= {f"data.{name}": path for name, path in files.items() if path is not None}
    given |= {"train.init_from": init_from} if init_from is not None else {}
    run = Run(out or _default_folder(config, src))
    with joined(f"what is saved is in {run.path}/checkpoints; to go on, give the same command with --resume") as world:
        settings = load_resumed_config(Run.open(run.path), config, given) if resume else load_new_config(config, given)
        if not settings.data.train_src:
            named = f"{run.config_path}: " if resume and not config else ""
            raise UserError(
                f"{named}data.train_src: nothing to train on; give a settings file that names it, or --src and --tgt"
            )
        if dry_run and (resume or world.size > 1):
            raise UserError("--dry-run: a training from its start, in one process; leave out --resume and torchrun")
        if world.is_first and not (resume or dry_run):
            run.refuse_used()  # before the text is read

        from translate.system.device import pick_device
        from translate.training.auto_config import choose_settings

        place = pick_device(device)
        reasons: list[str] = []
        if not config and not resume:
            settings, reasons = choose_settings(settings, given, place)
        if dry_run:
            _rehearse(settings, place, reasons)
        else:
            _train(run, settings, place, world, reasons, resume)


def _train(run: Run, settings: Config, device: torch.device, world: World, reasons: list[str], resume: bool) -> None:
    """Begin or go on with a run. reasons: what to say first of its settings."""
    from translate.run.folder import Run, training_alone
    from translate.training.loop import train

    if not world.is_first:
        train(run, settings, device, world)
        return
    if resume:
        with training_alone(Run.open(run.path)):
            train(Run.resume(run.path, settings), settings, device, world)
        return
    run = Run.create(run.path, settings)
    with training_alone(run):
        try:
            train(run, settings, device, world, reasons)
        except UserError:
            run.discard_if_unused()
            raise


def _rehearse(settings: Config, device: torch.device, reasons: list[str]) -> None:
    """Print `reasons` and what the first steps tell of the training."""
    import tempfile

    from translate.run.folder import Run
    from translate.training.estimate import dry_run

    with tempfile.TemporaryDirectory(prefix="translate-") as folder:
        for line in reasons + dry_run(Run.create(Path(folder), settings), settings, device):
            print(line)


def _default_folder(config: Path | None, src: str | None) -> Path:
    name = config.stem if config else Path(src or "run").name.partition(".")[0]
    return Path("runs") / name
