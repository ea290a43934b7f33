"""The commands: what each is given, and what it prints."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Literal

import typer

from translate.errors import UserError

if TYPE_CHECKING:
    import torch

    from translate.decode import Translation
    from translate.distributed import World
    from translate.settings import Config

PIPE_WIDTH = 120  # characters of a map where there is no terminal to ask

app = typer.Typer(
    help="Train a translator from two text files, translate with it, and look inside its attention.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps; auto takes CUDA, then MPS, then the CPU.")]


@app.command()
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
    from translate.run import Run

    given = dict(parse_override(text) for text in overrides or [])
    files = {"train_src": src, "train_tgt": tgt, "valid_src": valid_src, "valid_tgt": valid_tgt}
    given |= {f"data.{name}": path for name, path in files.items() if path is not None}
    folder = out or _default_folder(config, src)
    with joined(f"what is saved is in {folder}/checkpoints; to go on, give the same command with --resume") as world:
        settings = load_config(config or (Run.open(folder).config_path if resume else None), given)
        if not settings.data.train_src:
            raise UserError(
                "data.train_src: nothing to train on; give a settings file that names it, or --src and --tgt"
            )

        from translate.device import pick_device
        from translate.train import train

        place = pick_device(device)
        if dry_run:
            if resume or world.size > 1:
                raise UserError("--dry-run: a training from its start, in one process; leave out --resume and torchrun")
            _rehearse(settings, place)
            return
        if not world.is_first:
            train(Run(folder), settings, place, world)
            return
        if resume:
            train(Run.resume(folder, settings), settings, place, world)
            return
        run = Run.create(folder, settings)
        try:
            train(run, settings, place, world)
        except UserError:
            run.discard_if_unused()
            raise


@app.command()
def decode(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `translate train` wrote.")],
    sentences: Annotated[list[str] | None, typer.Argument(metavar="SENTENCE", help="What to translate.")] = None,
    input: Annotated[Path | None, typer.Option(metavar="FILE", help="Translate each line of FILE (or .gz).")] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write to FILE, not to standard output.")] = None,
    beam_size: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Hypotheses kept at each step; 1 is greedy.  [default: the run's]"),
    ] = None,
    n_best: Annotated[int, typer.Option(min=1, help="Translations a line, the best first.")] = 1,
    length_penalty: Annotated[
        float | None, typer.Option(min=0, max=10, help="Above 0 favours longer translations.  [default: the run's]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    attention: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the attention of each line to DIR.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Translate sentences, a file, or standard input: one line out for one line in.

    With --n-best N above 1 each line of output is: line number, score, translation, separated by tabs.

    \b
    translate decode runs/toy "I love apples." "The cat sat on the mat."
    translate decode runs/toy --input test.en --output test.fr
    translate decode runs/toy "I love apples." --attention maps && translate attention maps
    """
    from translate.distributed import joined

    with joined("nothing was written; start again") as world:
        _check_places(sentences, input, output, attention, world)

        from translate.attention import write_attention
        from translate.config import changed_search
        from translate.decode import Translator

        started = time.monotonic()
        translator = Translator.load(run, device)
        changes = {"beam_size": beam_size, "length_penalty": length_penalty}
        settings = changed_search(translator.settings, changes)
        if not sentences and not input and sys.stdin.isatty():
            found = translator.translations(_prompt(), settings, n_best, window_lines=1)
        else:
            found = translator.translations(_lines(sentences, input), settings, n_best, world=world)
        if not world.is_first:
            deque(found, maxlen=0)  # translates this process's share; the first process gets it and writes
            return
        num_lines = 0
        with ExitStack() as stack:
            stream = stack.enter_context(_writing(output)) if output else sys.stdout
            if attention:
                found = write_attention(attention, translator, found)
            for translation in found:
                num_lines = translation.id
                for warning in translation.warnings:
                    print(f"warning: line {translation.id}: {warning}", file=sys.stderr)
                print(_format(translation, as_json, n_best), file=stream, flush=output is None)
    seconds = time.monotonic() - started
    lines = "1 line" if num_lines == 1 else f"{num_lines:,} lines"
    print(f"{lines} in {seconds:.1f} s on {world.describe(translator.engine.description)}", file=sys.stderr)
    if attention:
        print(f"attention files: {attention}", file=sys.stderr)


@app.command()
def attention(
    path: Annotated[Path, typer.Argument(metavar="DIR|FILE.npz", help="What `translate decode --attention` wrote.")],
    kind: Annotated[Literal["cross", "encoder", "decoder"], typer.Option(help="Which attention.")] = "cross",
    layer: Annotated[int | None, typer.Option(help="Layer, from 0.  [default: the mean of all]")] = None,
    head: Annotated[int | None, typer.Option(help="Head, from 0.  [default: the mean of all]")] = None,
    sentence: Annotated[int, typer.Option(min=1, help="Which line of the input, where a folder is given.")] = 1,
    words: Annotated[bool, typer.Option("--words", help="Show whole words, not pieces.")] = False,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the map to FILE as well.")] = None,
) -> None:
    """Show an attention map: what each row's piece looked at, in percent.

    \b
    cross    rows: target pieces as they are produced; columns: source pieces
    encoder  rows and columns: source pieces
    decoder  rows: target pieces as they are produced; columns: target pieces read so far
    """
    from translate.attention import AttentionMaps, view
    from translate.report.picture import save_picture
    from translate.report.terminal import draw_map

    file = path / f"{sentence:06d}.npz" if path.is_dir() else path
    if path.is_dir() and not file.exists():
        raise UserError(f"{path}: no attention of line {sentence} ({file.name}); --sentence N chooses another line")
    shown = view(AttentionMaps.load(file), kind, layer, head, words)
    is_terminal = sys.stdout.isatty()
    print(draw_map(shown, shutil.get_terminal_size().columns if is_terminal else PIPE_WIDTH, is_terminal))
    if png:
        undrawn = save_picture(shown, png)
        print(f"picture: {png}", file=sys.stderr)
        if undrawn:
            print(f"warning: no font here can draw {undrawn}; they are boxes in the picture", file=sys.stderr)


def _rehearse(settings: Config, device: torch.device) -> None:
    import tempfile

    from translate.rehearsal import rehearse
    from translate.run import Run

    with tempfile.TemporaryDirectory(prefix="translate-") as folder:
        for line in rehearse(Run.create(Path(folder), settings), settings, device):
            print(line)


def _check_places(
    sentences: list[str] | None, input: Path | None, output: Path | None, attention: Path | None, world: World
) -> None:
    """Raise UserError where `decode` was told to read or write what it cannot."""
    if sentences and input:
        raise UserError("decode: give sentences or --input, not both")
    if not output and sys.stdout is None:
        raise UserError("decode: standard output is closed; give --output FILE")
    if world.size > 1 and not sentences and (not input or (input.exists() and not input.is_file())):
        raise UserError("decode: several processes cannot share standard input or a pipe; give --input with a file")
    if not sentences and not input and sys.stdin is None:
        raise UserError("decode: standard input is closed; give sentences, or --input FILE")
    if attention and any(file and file.resolve().parent == attention.resolve() for file in (input, output)):
        raise UserError(f"decode: {attention} is emptied for the attention files; keep --input and --output elsewhere")


def _default_folder(config: Path | None, src: str | None) -> Path:
    name = config.stem if config else Path(src or "run").name.partition(".")[0]
    return Path("runs") / name


def _lines(sentences: list[str] | None, path: Path | None) -> Iterable[str]:
    """What to translate: the arguments, else the file, else standard input."""
    from translate.text import read_lines, split_lines

    if sentences:
        for sentence in sentences:
            if any("\ud800" <= character <= "\udfff" for character in sentence):
                raise UserError(f"decode: {sentence!r} is not UTF-8; set the terminal to UTF-8, or give a file")
        return sentences
    if path:
        return read_lines(path)
    return split_lines(sys.stdin.buffer, "standard input")


def _prompt() -> Iterator[str]:
    print("Type a sentence a line; end with Ctrl-D.", file=sys.stderr)
    while True:
        print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            print(file=sys.stderr)
            return
        yield line.removesuffix("\n")


def _format(translation: Translation, as_json: bool, n_best: int) -> str:
    if as_json:
        fields = {
            "id": translation.id,
            "source": translation.source,
            "translations": [asdict(candidate) for candidate in translation.translations],
            "warnings": translation.warnings,
        }
        return json.dumps(fields, ensure_ascii=False)
    if n_best > 1:
        rows = (f"{translation.id}\t{found.score:.4f}\t{found.text}" for found in translation.translations)
        return "\n".join(rows)
    return translation.text


@contextmanager
def _writing(path: Path) -> Iterator[IO[str]]:
    from translate.files import replacing

    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        yield stream
