"""translate train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from translate.commands.app import DeviceOption
from translate.errors import UserError

if TYPE_CHECKING:
    import torch

    from translate.settings import Config


def train(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG.toml", help="Settings that differ from the defaults.")
    ] = None,
    src: Annotated[
        str | None, typer.Option(metavar="FILE", help="Training text, source side (plain, .gz or .tsv).")
    ] = None,
    tgt: Annotated[str | None, typer.Option(metavar="FILE", help="Training text, target side, line for line.")] = None,
    valid_src: Annotated[
        str | None, typer.Option(metavar="FILE", help="Validation text; split off when not given.")
    ] = None,
    valid_tgt: Annotated[str | None, typer.Option(metavar="FILE", help="Validation text, target side.")] = None,
    align: Annotated[
        str | None, typer.Option(metavar="FILE", help="Word alignments of the training text, to guide attention by.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="A setting; may be repeated.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="RUN", help="The run folder.  [default: runs/NAME]")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run folder from its newest checkpoint.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Make only the first steps; say what the training would be. Keeps nothing."),
    ] = False,
    device: DeviceOption = "auto",
) -> None:
    """Train a translator into a run folder.

    Give a settings file, or two text files, or both. Every setting with its default and meaning is in the config.toml
    that the run folder gets. Paths in a settings file are relative to that file, paths given here to where you are.

    \b
    translate train configs/toy.toml --out runs/toy
    translate train --src train.en --tgt train.fr --set train.max_minutes=30
    translate train --src train.en --tgt train.fr --dry-run
    translate train --resume --out runs/toy --set train.max_steps=4000
    """
    from translate.config import load_config, parse_override
    from translate.distributed import joined
    from translate.length import keep_length
    from translate.run import Run

    given = dict(parse_override(text) for text in overrides or [])
    files = {"train_src": src, "train_tgt": tgt, "valid_src": valid_src, "valid_tgt": valid_tgt, "train_align": align}
    given |= {f"data.{name}": path for name, path in files.items() if path is not None}
    folder = out or _default_folder(config, src)
    with joined(f"what is saved is in {folder}/checkpoints; to go on, give the same command with --resume") as world:
        settings = load_config(config or (Run.open(folder).config_path if resume else None), given)
        if resume:
            settings = keep_length(Run.open(folder).load_config(), settings)
        if not settings.data.train_src:
            named = f"{folder / 'config.toml'}: " if resume and not config else ""
            raise UserError(
                f"{named}data.train_src: nothing to train on; give a settings file that names it, or --src and --tgt"
            )

        from translate.device import pick_device
        from translate.fitting import fit
        from translate.lock import training_alone
        from translate.train import train

        place = pick_device(device)
        reasons: list[str] = []
        if not config and not resume:
            settings, reasons = fit(settings, given, place)
        if dry_run:
            if resume or world.size > 1:
                raise UserError("--dry-run: a training from its start, in one process; leave out --resume and torchrun")
            for line in reasons + _rehearsed(settings, place):
                print(line)
            return
        if not world.is_first:
            train(Run(folder), settings, place, world)
            return
        if resume:
            with training_alone(Run.open(folder)):
                train(Run.resume(folder, settings), settings, place, world)
            return
        run = Run.create(folder, settings)
        with training_alone(run):
            try:
                train(run, settings, place, world, reasons)
            except UserError:
                run.discard_if_unused()
                raise


def _rehearsed(settings: Config, device: torch.device) -> list[str]:
    import tempfile

    from translate.rehearsal import rehearse
    from translate.run import Run

    with tempfile.TemporaryDirectory(prefix="translate-") as folder:
        return rehearse(Run.create(Path(folder), settings), settings, device)


def _default_folder(config: Path | None, src: str | None) -> Path:
    name = config.stem if config else Path(src or "run").name.partition(".")[0]
    return Path("runs") / name
