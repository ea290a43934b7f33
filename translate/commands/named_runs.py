"""Find the run that a word on the command line names, or say what was probably meant."""

from __future__ import annotations

import errno
from pathlib import Path
from shlex import quote

import typer

from translate.config.nearest import nearest
from translate.errors import UserError
from translate.system.terminal_text import print_message

HOME = Path("runs")  # where training writes runs unless --out names another place
CONFIG = "config.toml"  # the file that every run has
MAX_LISTED = 4


def a_run(ctx: typer.Context, path: Path | None) -> Path | None:
    """Return the path of a run: the given one, or the run of that name in runs/, which a note reports.

    Raises UserError if there is neither. This is a callback for an argument or option, as are those below.
    """
    return path if path is None or ctx.resilient_parsing else named_run(path, ctx.command_path)


def a_run_by_name(ctx: typer.Context, name: str | None) -> str | None:
    """Return the path of a run as `a_run` does, as a string."""
    return name and str(a_run(ctx, Path(name)))


def some_runs(ctx: typer.Context, paths: list[Path] | None) -> list[Path] | None:
    """Return the paths of several runs as `a_run` does."""
    return paths and [path for path in (a_run(ctx, each) for each in paths) if path]


def a_run_or_other(ctx: typer.Context, path: Path | None) -> Path | None:
    """Return whatever exists, such as a file of translations, and treat other paths as `a_run` does."""
    if path is None or ctx.resilient_parsing or exists(path):
        return path
    return named_run(path, ctx.command_path, "file or folder")


def some_maps(ctx: typer.Context, path: Path) -> Path:
    """Return the path of attention maps. Raises UserError if it is a run, or if there is nothing there."""
    run = next((each for each in (path, HOME / path) if is_run(each)), None)
    if not ctx.resilient_parsing and (run or not (exists(path) or path.suffix == ".npz")):
        what = "this is a run, not a folder of attention maps" if is_run(path) else "no such folder"
        make = f"translate decode {quote(str(run)) if run else example_run()} 'I love apples.' --attention maps"
        raise UserError(f"{path}: {what}; write maps first: {make} && {ctx.command_path.removesuffix(' show')} maps")
    return path


def named_run(path: Path, command: str, kind: str = "folder") -> Path:
    """Return the path of a run as `a_run` does. command: the words that start it; kind: what may be named."""
    if is_run(path):
        return path
    if not exists(path) and is_run(HOME / path):
        print_message(f"note: {path}: no such {kind}; using {HOME / path}")
        return HOME / path
    what = _other_than_a_run(path, command) if exists(path) else f"no such {kind}; {_what_is_meant(path, command)}"
    raise UserError(f"{path}: {what}")


def is_run(path: Path) -> bool:
    """Return whether a folder was written by training."""
    return exists(path) and (path / CONFIG).is_file()


def exists(path: Path) -> bool:
    """Return whether there is a file or folder. A text that is too long for a name is none."""
    try:
        return path.exists()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise


def runs_here() -> list[Path]:
    """Return the runs in runs/, the newest first."""
    found = [path.parent for path in HOME.glob(f"*/{CONFIG}")] if HOME.is_dir() else []
    return sorted(found, key=lambda run: (run / CONFIG).stat().st_mtime, reverse=True)


def example_run() -> str:
    """Return the newest run, quoted for a shell, or RUN."""
    return next((quote(str(run)) for run in runs_here()), "RUN")


def _what_is_meant(path: Path, command: str) -> str:
    """Return what was probably meant by a path that does not exist."""
    if any(letter.isspace() for letter in path.name) and len(str(path).split()) > 1:
        sentence = f"{example_run()} {quote(str(path))}" if command.endswith(" decode") else f"{example_run()} …"
        return f"name a run first: {command} {sentence}"
    nearby = {each.name: each for each in (*_runs_in(path.parent), *runs_here())}
    if meant := nearest(path.name, nearby):
        return f"did you mean {quote(str(nearby[meant]))}?"
    return _pass_a_run()


def _other_than_a_run(path: Path, command: str) -> str:
    what = "not a run folder (it has no config.toml)" if path.is_dir() else "this is a file, not a run folder"
    if inside := next((parent for parent in path.absolute().parents if is_run(parent)), None):
        run = next((parent for parent in path.parents if parent.absolute() == inside), inside)
        return f"{what}; pass the run, {quote(str(run))}"
    if (path / "about.json").is_file():
        return f"this is a folder of attention maps, not a run; {_pass_a_run()}"
    if path.is_dir() and (runs := _runs_in(path)):
        return f"{what}; pass one of the runs in it: {_listed(runs)}"
    if path.suffix == ".toml":
        return f"this is a settings file, not a run; train one first: translate train {quote(str(path))}"
    if path.is_file() and command.endswith(" decode"):
        return f"{what}; to translate its lines: {command} {example_run()} --input {quote(str(path))}"
    return f"{what}; {_pass_a_run()}"


def _pass_a_run() -> str:
    runs = runs_here()
    return f"pass a folder written by `translate train`{f', such as {_listed(runs)}' if runs else ''}"


def _runs_in(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"*/{CONFIG}")) if folder.is_dir() else []


def _listed(runs: list[Path]) -> str:
    return ", ".join(quote(str(run)) for run in runs[:MAX_LISTED]) + (", …" if len(runs) > MAX_LISTED else "")
