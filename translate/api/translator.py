"""The translator that `translate.load` returns: translations, attention, word alignments and scores in Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

from translate.api.attention import Attention
from translate.api.loading import load_translator
from translate.api.wording import in_python_words
from translate.attention.maps import MAX_PIECES
from translate.config.settings import DecodeSettings
from translate.config.toml import changed_search
from translate.data.parallel_text import Pair
from translate.data.vocab import VocabPair
from translate.decoding.arguments import check_list, check_text, check_type
from translate.decoding.engine import BackgroundEngine, Engine
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest, Scored, Translation
from translate.errors import UserError
from translate.markup.keeper import keep_markup, keeps_markup
from translate.report.page.frame import InitialView
from translate.run.folder import Run

if TYPE_CHECKING:
    from translate.alignment.lexicon import Lexicon

Texts = list[str] | tuple[str, ...] | Iterator[str]  # unlike Iterable[str], this does not include str


class SearchOptions(TypedDict, total=False):
    """The search and sampling options of `translate decode`. For those not given, or None, the run's settings apply."""

    beam_size: int | None
    length_penalty: float | None
    coverage_penalty: float | None
    no_repeat_ngram: int | None
    min_length: int | None
    max_length: int | None
    sample: bool | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    seed: int | None
    prefix: str | None
    require: Sequence[str] | None
    keep: str | None


@dataclass(frozen=True, eq=False, repr=False)
class Translator:
    """A trained run, as `translate.load` returns it. Several threads may call it, and Ctrl-C leaves it usable.

    Its methods raise UserError for what the user can fix, and TypeError or ValueError for arguments that are no text.
    """

    engine: Engine  # runs the model; with PyTorch, `engine.model` is the model
    vocabs: VocabPair
    settings: DecodeSettings  # of the run
    max_pieces: int  # longer texts are translated in parts
    _lines: LineTranslator
    _run: Path
    _masked: tuple[str, ...] = ()  # names of masked heads

    @classmethod
    @in_python_words()
    def load(cls, run: str | Path, *model: Any) -> Translator:
        """Load a run. model: the other arguments of `load_translator`."""
        return cls._of(load_translator(run, *model), Path(run))

    @classmethod
    def _of(cls, lines: LineTranslator, run: Path, masked: tuple[str, ...] = ()) -> Translator:
        return cls(lines.engine, lines.vocabs, lines.settings, lines.max_pieces, lines, run, masked)

    def __repr__(self) -> str:
        return f"<Translator: {self._title}, {self.engine.description}>"

    @overload
    def translate(self, texts: str, *, n_best: None = None, **options: Unpack[SearchOptions]) -> str: ...
    @overload
    def translate(self, texts: Texts, *, n_best: None = None, **options: Unpack[SearchOptions]) -> list[str]: ...
    @overload
    def translate(self, texts: str, *, n_best: int, **options: Unpack[SearchOptions]) -> list[str]: ...
    @overload
    def translate(self, texts: Texts, *, n_best: int, **options: Unpack[SearchOptions]) -> list[list[str]]: ...
    def translate(
        self, texts: str | Texts, *, n_best: int | None = None, **options: Unpack[SearchOptions]
    ) -> str | list[str] | list[list[str]]:
        """Return the translation of a text, or of each text in a list, tuple or iterator; "" for a blank text.

        n_best: return a list of up to this many translations per text, best first; the beam is at least as wide.
        options: beam_size, length_penalty, coverage_penalty, no_repeat_ngram, min_length, max_length, sample,
        temperature, top_k, top_p, seed, prefix, require and keep; see `SearchOptions`. keep="markup" keeps tags,
        placeholders, URLs and the like.
        """
        _check_texts(texts, "texts")
        lines = [texts] if isinstance(texts, str) else texts
        found = self.translations(lines, n_best=1 if n_best is None else n_best, **options)
        lists = [[candidate.text for candidate in each.translations] for each in found]
        results = [each[0] for each in lists] if n_best is None else lists
        return results[0] if isinstance(texts, str) else results

    __call__ = translate

    @in_python_words()
    def translations(
        self, texts: Texts, *, n_best: int = 1, details: bool = False, **options: Unpack[SearchOptions]
    ) -> Iterator[Translation]:
        """Return an iterator over the translations of each text with scores, pieces and warnings.

        Texts are read and translated in groups as the iterator advances. details: also compute the log-probability of
        each piece, in nats. n_best, options: see `translate`.
        """
        if isinstance(texts, str):
            raise TypeError("texts should be a list or an iterator of strings, not str; `translate` takes one string")
        _check_texts(texts, "texts")
        if unknown := options.keys() - SearchOptions.__annotations__:
            known = ", ".join(SearchOptions.__annotations__)
            raise TypeError(f"{', '.join(unknown)}: unknown option; the options are n_best, {known}")
        check_type(n_best, "n_best", int)
        check_type(details, "details", bool)
        prefix, require, keep = options.get("prefix"), options.get("require"), options.get("keep")
        check_text("" if prefix is None else prefix, "prefix")
        check_text("" if keep is None else keep, "keep")
        check_list(() if require is None else require, "require")
        request = DecodeRequest(n_best, details, prefix or "", tuple(require or ()))
        changes = {name: value for name, value in options.items() if name not in ("prefix", "require", "keep")}
        settings = changed_search(self.settings, changes)
        if n_best > settings.beam_size and not settings.sample:
            settings = changed_search(settings, {"beam_size": n_best})
        lines = self._with_markup if keeps_markup(keep) else self._lines
        return _in_python_words(lines.translations(texts, settings, request))

    @in_python_words()
    def attention(self, source: str, target: str | None = None, **options: Unpack[SearchOptions]) -> Attention:
        """Return the attention maps of a text and its best translation, or of a text and a given target.

        An ensemble shows the maps of its first model. options: see `translate`; not with a target. Raises UserError if
        a side is blank or too long.
        """
        check_text(source, "source")
        check_text("" if target is None else target, "target")
        lines = self._with_torch()
        from translate.attention.extract import attention_maps, joined_maps
        from translate.report.attention_folder import attention_warnings

        for vocab, text in zip(self.vocabs, (source, target or ""), strict=True):
            _check_length(len(vocab.encode([text])[0]))
        if target is None:
            (found,) = self.translations([source], **options)
            found = found.plain or found  # maps have no markup
        elif options:
            raise TypeError(f"{', '.join(options)}: the target is given, so there is no search; leave out one of them")
        else:
            found = self.score(source, target).as_translation(1)
        if not found.parts:
            raise UserError("a text without words, or with a blank target, has no attention; pass text")
        _check_length(max(sum(map(len, side)) for side in zip(*found.parts, strict=True)))
        maps, score = joined_maps(attention_maps(lines, found.parts)), found.translations[0].score
        view = InitialView.of_alignment(Run(self._run).load_alignment())
        warnings = (*found.warnings, *attention_warnings(maps))
        return Attention(found.source, found.text, score, warnings, maps, f"Attention of {self._title}", view)

    @in_python_words()
    def align(self, source: str, target: str, *, lexicon: bool = False) -> list[tuple[int, int]]:
        """Return the links (i, j) from source word i to target word j; words are what spaces separate, from 0.

        The setting is the run's best (`translate align --store`), or else grow-diag on the mean of all heads. lexicon:
        instead, correct this mean by which words translate each other in the training text, which the first call reads.
        A pair with a blank side has no links. Raises UserError if a side is too long, its words do not match its
        pieces, or the training text no longer exists.
        """
        from translate.alignment.aligner import Pairing, aligned
        from translate.alignment.methods import MapChoice
        from translate.alignment.settings import AlignmentOptions
        from translate.alignment.sources import RunLines
        from translate.alignment.stored import best_setting

        check_text(source, "source")
        check_text(target, "target")
        check_type(lexicon, "lexicon", bool)
        lines = RunLines(self._run, self._with_torch(), [Pair(source, target)])
        pairing = Pairing(lines, lexicon=self._lexicon if lexicon else None)
        mean = MapChoice(), AlignmentOptions().config(pairing.directions)
        choice, config = mean if lexicon else best_setting(lines)
        pairing.check(choice)
        ((pair, links),) = aligned(pairing, choice, config)
        if links is None and pair.source.strip() and pair.target.strip():
            raise UserError("the pair is too long for attention maps, or its words do not match its pieces")
        return [] if links is None else list(zip(*(axis.tolist() for axis in links.T.nonzero()), strict=True))

    @overload
    def score(self, source: str, target: str) -> Scored: ...
    @overload
    def score(self, source: Texts, target: Texts) -> list[Scored]: ...
    @in_python_words()
    def score(self, source: str | Texts, target: str | Texts) -> Scored | list[Scored]:
        """Return the log-probability of a target in nats, its perplexity and its pieces' share; for lists, a list."""
        if isinstance(source, str):
            check_text(target, "target")
            return next(self._lines.score([(source, str(target))]))
        _check_texts(source, "source")
        _check_texts(target, "target")
        if isinstance(target, str):
            raise TypeError("target should be a list of strings, not str, because source is a list")
        sources, targets = list(source), list(target)
        if len(sources) != len(targets):
            raise ValueError(f"source has {len(sources)} texts, but target has {len(targets)}")
        return list(self._lines.score(zip(sources, targets, strict=True)))

    def without(self, *heads: str) -> Translator:
        """Return a translator in which these heads are masked, too. Raises UserError for unknown names.

        It shares the model with this one, which stays as it is. An ensemble masks only its first model.
        """
        for head in heads:
            check_text(head, "each head")
        from translate.attention.extract import heads_named

        masked = self._with_torch().without(heads_named(self._lines, heads, "head"))
        return self._of(masked, self._run, (*self._masked, *heads))

    @property
    def _title(self) -> str:
        name = self._run.resolve().name
        return f"{name} without {', '.join(self._masked)}" if self._masked else name

    @cached_property
    def _with_markup(self) -> LineTranslator:
        shows_attention = not isinstance(self.engine, BackgroundEngine)
        return keep_markup(self._lines, self._run, None if shows_attention else partial(load_translator, self._run))

    @cached_property
    def _lexicon(self) -> Lexicon:
        from translate.alignment.lexicon import Lexicon

        return Lexicon.of_run(Run.open(self._run))

    def _with_torch(self) -> LineTranslator:
        from translate.decoding.torch_engine import TorchEngine

        if not isinstance(self.engine, TorchEngine):
            raise UserError('CTranslate2 does not expose attention; load the run with engine="torch"')
        return self._lines


def _in_python_words(translations: Iterator[Translation]) -> Iterator[Translation]:
    with in_python_words():
        yield from translations


def _check_length(num_pieces: int) -> None:
    if num_pieces > MAX_PIECES:
        raise UserError(f"{num_pieces:,} pieces exceed the maximum of {MAX_PIECES:,} for maps; pass a shorter text")


def _check_texts(texts: object, name: str) -> None:
    if not isinstance(texts, (str, list, tuple, Iterator)):
        raise TypeError(f"{name} should be a string or a list of strings, not {type(texts).__name__}")
