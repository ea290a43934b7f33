"""The `translate check` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from translate.commands import options
from translate.commands.named_runs import a_run_or_other
from translate.errors import UserError
from translate.system.terminal_text import print_result

if TYPE_CHECKING:
    from translate.check.check import Texts
    from translate.config.settings import Config, DataSettings
    from translate.data.vocab import VocabPair

VOCAB_HELP = "Vocabulary used to count pieces."
EPILOG = """\b
Examples:
  translate check --src train.en --tgt train.fr
  translate check configs/toy.toml --test-src data/toy/test.en --test-tgt data/toy/test.fr
  translate check --src train.en --tgt train.fr --set data.filter='["identical"]' --json
"""


def check(
    config: options.Config = None,
    src: options.TrainSrc = None,
    tgt: options.TrainTgt = None,
    valid_src: options.ValidSrc = None,
    valid_tgt: options.ValidTgt = None,
    src_column: options.SrcColumn = None,
    tgt_column: options.TgtColumn = None,
    test_src: Annotated[Path | None, options.Files(metavar="FILE", help="Test text, source side.")] = None,
    test_tgt: Annotated[Path | None, options.Files(metavar="FILE", help="Test text, target side.")] = None,
    vocab: Annotated[Path | None, Option(metavar="FILE|RUN", callback=a_run_or_other, help=VOCAB_HELP)] = None,
    overrides: options.Set = None,
    examples: Annotated[int, Option(metavar="N", min=0, max=100, help="Number of examples to show per problem.")] = 1,
    as_json: options.Json = False,
) -> None:
    """Find problems in a parallel corpus.

    The report lists the lines affected by each problem and how training handles them. Validation and test texts are
    checked for overlap with the training text. The exit status is 0 even if problems are found, and 2 if a file cannot
    be read.
    """
    from tqdm import tqdm

    from translate.check.check import check as check_texts
    from translate.config.files import names_of
    from translate.config.toml import load_config
    from translate.report import findings

    files = {"train_src": src, "train_tgt": tgt, "valid_src": valid_src, "valid_tgt": valid_tgt}
    columns = {"src_column": src_column, "tgt_column": tgt_column}
    settings = load_config(config, options.given_settings(overrides, files, columns))
    data = settings.data
    if not data.train_src:
        raise UserError("check: no text specified; use --src and --tgt, or a settings file that sets data.train_src")
    names = ", ".join(src or names_of(data.train_src)), ", ".join(tgt or names_of(data.train_tgt))
    names = (names[0], names[0]) if data.train_tgt == data.train_src else names
    texts, vocabs = _texts(data, test_src, test_tgt), _vocabs(vocab, settings)
    with tqdm(desc="checking", unit="pair", unit_scale=True, leave=False, disable=None) as bar:
        report = check_texts(texts, settings, vocabs, examples, bar.update)
    names = names[::-1] if data.reverse else names
    print_result(findings.as_json(report, names) if as_json else findings.as_text(report, names, settings))


def _texts(data: DataSettings, test_src: Path | None, test_tgt: Path | None) -> Texts:
    from translate.check.check import Texts
    from translate.config.files import has_both_sides
    from translate.data.parallel_text import text_of

    test_tgt = test_tgt or (test_src if test_src and has_both_sides(test_src.name) else None)
    if bool(test_src) != bool(test_tgt):
        raise UserError("check: --test-src and --test-tgt must be used together")
    valid = text_of(data, data.valid_src, data.valid_tgt) if data.valid_src else None
    test = text_of(data, str(test_src), str(test_tgt)) if test_src else None
    return Texts(text_of(data, data.train_src, data.train_tgt), valid, test)


def _vocabs(path: Path | None, settings: Config) -> VocabPair | None:
    from translate.data.vocab import Vocab, VocabPair
    from translate.run.folder import Run

    if path is None and not settings.vocab.model:
        return None
    path = path or Path(settings.vocab.model)
    if path.is_dir():
        return Run.open(path).load_vocabs()
    vocab = Vocab.load(path)
    return VocabPair(vocab, vocab)
