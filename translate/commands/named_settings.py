"""Find the settings file that a word on the command line names, or say what was probably meant."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import typer

from translate.commands.named_runs import exists, is_run
from translate.config.nearest import nearest
from translate.errors import UserError

FOLDERS = (Path(), Path("configs"))  # where settings files are looked for


def a_settings_file(ctx: typer.Context, path: Path | None) -> Path | None:
    """Return the path of a settings file. Raises UserError if it is a run or does not exist. A callback."""
    if path is None or ctx.resilient_parsing or (exists(path) and not is_run(path)):
        return path
    name = quote(str(path))
    if is_run(path):
        again = f"{ctx.command_path} {quote(str(path / 'config.toml'))}"
        raise UserError(
            f"{path}: this is a run, not a settings file; to resume it: translate train --resume --out {name}; "
            f"to use its settings: {again}"
        )
    if path.name.replace(".", "").isdecimal():
        raise UserError(f"{path}: not a settings file; write --set SECTION.KEY={path}, with = between the two")
    files = {file.stem: file for folder in FOLDERS for file in sorted(folder.glob("*.toml"))}
    if meant := nearest(path.stem, files):
        raise UserError(f"{path}: no such settings file; did you mean {quote(str(files[meant]))}?")
    texts = (
        ""
        if path.suffix == ".toml"
        else f"; texts are named by --src and --tgt: {ctx.command_path} --src {name} --tgt FILE"
    )
    raise UserError(f"{path}: no such settings file{texts}")
