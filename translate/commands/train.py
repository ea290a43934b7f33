"""The `translate train` command."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from typer import Option

from translate.commands import options
from translate.commands.named_runs import HOME, a_run_by_name, example_run, named_run
from translate.errors import UserError
from translate.system.distributed import joined
from translate.system.quick_start import imports
from translate.system.terminal_text import print_result

Out = Annotated[Path | None, Option(metavar="RUN", help="Run folder.  [default: runs/NAME from CONFIG.toml or --src]")]
INIT_FROM_HELP = "Run folder to fine-tune (same vocabulary)."
EPILOG = """\b
Examples:
  translate train configs/toy.toml --out runs/toy
  translate train --src train.en --tgt train.fr --set train.max_minutes=30
  translate train --src corpus.tmx --src-column en --tgt-column fr --dry-run
  translate train --init-from runs/toy --src new.en --tgt new.fr --out runs/tuned
  translate train --resume --out runs/toy --set train.max_steps=4000
"""


def train(
    config: options.Config = None,
    src: options.TrainSrc = None,
    tgt: options.TrainTgt = None,
    valid_src: options.ValidSrc = None,
    valid_tgt: options.ValidTgt = None,
    src_column: options.SrcColumn = None,
    tgt_column: options.TgtColumn = None,
    align: Annotated[str | None, options.Files(metavar="FILE", help="Word alignments for guided attention.")] = None,
    init_from: Annotated[str | None, Option(metavar="RUN", callback=a_run_by_name, help=INIT_FROM_HELP)] = None,
    overrides: options.Set = None,
    out: Out = None,
    resume: Annotated[bool, Option("--resume", help="Resume the run from its latest checkpoint.")] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="Train for only a few steps and print estimates.")] = False,
    device: options.Device = "auto",
) -> None:
    """Train a model and write it to a run folder.

    Pass a settings file, the text, or both. The text is two files, or one with both sides. Without a settings file,
    settings are chosen to suit the text and the machine. The run's config.toml lists and explains every setting. Paths
    in a settings file are relative to that file; paths on the command line are relative to the working directory.
    """
    from translate.run.folder import Run

    files = {"train_src": src, "train_tgt": tgt, "valid_src": valid_src, "valid_tgt": valid_tgt}
    given = options.given_settings(overrides, files, {"src_column": src_column, "tgt_column": tgt_column})
    given |= {"data.train_align": align} if align is not None else {}
    given |= {"train.init_from": init_from} if init_from is not None else {}
    if dry_run:
        with joined("run the command again") as world:
            if resume or world.size > 1:
                way_out = "leave out --resume and torchrun"
                raise UserError(f"--dry-run works only for a new run in a single process; {way_out}")
            _dry_run(config, given, device)
        return
    from translate.training.start import start_training

    if resume and not (out or config or src):
        raise UserError(f"--resume: name the run to resume: translate train --resume --out {example_run()}")
    name = config.stem if config else Path(src[0] if src else "run").name.partition(".")[0]
    folder = out or HOME / name
    run = Run(named_run(folder, "translate train --resume --out") if resume else folder)
    start_training(run, config, given, device, resume, imports)


def _dry_run(config: Path | None, given: Mapping[str, object], device: str) -> None:
    """Print the reasons for the settings and a report on the first steps."""
    from translate.run.folder import Run
    from translate.training.resolve_config import resolve_new

    resolved = resolve_new(config, given, device, imports)
    from translate.system.device import pick_device
    from translate.training.estimate import dry_run

    with tempfile.TemporaryDirectory(prefix="translate-") as folder:
        run = Run.create(Path(folder), resolved.config)
        for line in (*resolved.reasons, *dry_run(run, resolved.config, pick_device(device), resolved.scan)):
            print_result(line)
