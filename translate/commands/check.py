"""translate check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from translate.errors import UserError

if TYPE_CHECKING:
    from translate.config.settings import Config, DataSettings
    from translate.data.parallel_text import ParallelText
    from translate.data.vocab import VocabPair


def check(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG.toml", help="Settings, as `translate train` takes them.")
    ] = None,
    src: Annotated[
        str | None, typer.Option(metavar="FILE", help="Training text, source side (plain, .gz or .tsv).")
    ] = None,
    tgt: Annotated[str | None, typer.Option(metavar="FILE", help="Training text, target side, line for line.")] = None,
    valid_src: Annotated[str | None, typer.Option(metavar="FILE", help="Validation text: is it apart?")] = None,
    valid_tgt: Annotated[str | None, typer.Option(metavar="FILE", help="Validation text, target side.")] = None,
    test_src: Annotated[Path | None, typer.Option(metavar="FILE", help="Test text: is it apart?")] = None,
    test_tgt: Annotated[Path | None, typer.Option(metavar="FILE", help="Test text, target side.")] = None,
    vocab: Annotated[
        Path | None, typer.Option(metavar="FILE|RUN", help="Count pieces and unknown characters by this vocabulary.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="A setting; may be repeated.")
    ] = None,
    examples: Annotated[int, typer.Option(metavar="N", min=0, max=100, help="Examples of each finding.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is wrong with a parallel text, where, and what training does about it.

    What is found is no error: the exit status is 0 whatever a text is like, and 2 where it cannot be read.

    \b
    translate check --src train.en --tgt train.fr
    translate check configs/toy.toml --test-src data/toy/test.en --test-tgt data/toy/test.fr
    translate check --src train.en --tgt train.fr --set data.filter='["identical"]' --json
    """
    from tqdm import tqdm

    from translate.check.check import Texts
    from translate.check.check import check as look_through
    from translate.config.toml import load_config, parse_override
    from translate.report.findings import as_json as to_json
    from translate.report.findings import as_text

    given = dict(parse_override(text) for text in overrides or [])
    files = {"train_src": src, "train_tgt": tgt, "valid_src": valid_src, "valid_tgt": valid_tgt}
    given |= {f"data.{name}": path for name, path in files.items() if path is not None}
    settings = load_config(config, given)
    data = settings.data
    if not data.train_src:
        raise UserError("check: nothing to check; give --src and --tgt, or a settings file that names data.train_src")
    if bool(test_src) != bool(test_tgt):
        raise UserError("check: --test-src and --test-tgt belong together; give both")
    texts = Texts(
        _text(data.train_src, data.train_tgt, data),
        _text(data.valid_src, data.valid_tgt, data) if data.valid_src else None,
        _text(str(test_src), str(test_tgt), data) if test_src else None,
    )
    names = (src or data.train_src, tgt or data.train_tgt)
    if data.reverse:
        names = names[::-1]
    vocabs = _vocabs(vocab, settings)
    with tqdm(desc="checking", unit="pair", unit_scale=True, leave=False, disable=None) as bar:
        report = look_through(texts, settings, vocabs, examples, bar.update)
    print(to_json(report, names) if as_json else as_text(report, names, settings))


def _text(src: str, tgt: str, data: DataSettings) -> ParallelText:
    from translate.data.parallel_text import check_stays, text_of

    check_stays(Path(src), Path(tgt))
    return text_of(data, src, tgt)


def _vocabs(path: Path | None, settings: Config) -> VocabPair | None:
    from translate.data.vocab import Vocab, VocabPair
    from translate.run.folder import Run

    path = path or (Path(settings.vocab.model) if settings.vocab.model else None)
    if path is None:
        return None
    if not path.is_dir():
        vocab = Vocab.load(path)
        return VocabPair(vocab, vocab)
    return Run.open(path).load_vocabs()
