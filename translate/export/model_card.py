"""The README.md of an exported model, with the front matter that model hubs read.

Names of files, runs and languages may contain anything. In the front matter they are quoted YAML strings, elsewhere
code spans, in which neither Markdown nor HTML means anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PureWindowsPath
from typing import Any, NamedTuple

from translate.config.files import names_of
from translate.config.languages import is_language, language_name
from translate.config.settings import Config, DataSettings
from translate.data.encoded_corpus import open_corpus
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.run.folder import Run
from translate.run.weights import num_parameters
from translate.system.files import resolved
from translate.system.terminal_text import spelled_out

LABELS = {"bleu": "BLEU", "chrf": "chrF"}


class Languages(NamedTuple):
    """Codes of the languages that a model translates from and to; "" for each that is unknown."""

    src: str
    tgt: str

    @property
    def direction(self) -> str:
        """The names of the languages, or "" if one of them is unknown."""
        return f"{language_name(self.src)} to {language_name(self.tgt)}" if all(self) else ""


@dataclass(frozen=True)
class Use:
    """How another program loads an exported model."""

    library: str  # the name of the program, as model hubs know it
    needs: str  # packages to install
    program: str  # in Python, run in the folder that contains the export
    notes: Sequence[str] = ()
    tags: Sequence[str] = field(default=("translation",))


def run_languages(run: Run, src: str, tgt: str) -> Languages:
    """Return the languages: `src` and `tgt`, or those of the run where these are empty.

    Raises UserError if one is not a language code.
    """
    for option, code in ("--from", src), ("--to", tgt):
        if code and not is_language(code):
            raise UserError(f"{option} {code}: not a language code; write one such as en, deu or zh-Hant")
    known = run.load_config().data.languages
    return Languages(src or known[0], tgt or known[1])


def training_texts(data: DataSettings) -> list[str]:
    """Return the names of the training files, without the folders that they are in, on any system."""
    sides = data.train_src, data.train_tgt
    return list(dict.fromkeys(PureWindowsPath(name).name for side in sides for name in names_of(side) if name))


def model_card(run: Run, languages: Languages, use: Use, num_bytes: int) -> str:
    """Return the content of README.md. num_bytes: size of the other files of the export."""
    config, vocabs = run.load_config(), run.load_vocabs()
    scores = _best_scores(run, config)
    name = spelled_out(resolved(run.path).name, "\n")
    parts = [
        "\n".join(["---", *_front_matter(name, languages, use, scores), "---"]),
        f"# {languages.direction or 'Translation model'}",
        f"A model for translation, exported for use with {use.library}.",
        "\n".join(f"- {each}" for each in _facts(run, config, vocabs, num_bytes)),
        "## Scores",
        "\n".join(_score_lines(scores, config)),
        "## Use",
        f"```sh\npip install {use.needs}\n```",
        f"```python\n{use.program.strip()}\n```",
        "## Limits",
        "\n".join(f"- {each}" for each in (*use.notes, *_limits(config))),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(name: str, languages: Languages, use: Use, scores: dict[str, Any]) -> Iterator[str]:
    if codes := [code for code in dict.fromkeys(languages) if code]:
        yield from ["language:", *(f"- {_quoted(code)}" for code in codes)]
    yield f"library_name: {_quoted(use.library)}"
    yield "pipeline_tag: translation"
    yield from ["tags:", *(f"- {tag}" for tag in use.tags)]
    if metrics := [metric for metric in LABELS if metric in scores]:
        yield from ["metrics:", *(f"- {metric}" for metric in metrics)]
        yield from ["model-index:", f"- name: {_quoted(name)}", "  results:", "  - task:", "      type: translation"]
        yield from ["    dataset:", "      name: validation text", "      type: validation-text", "    metrics:"]
        for metric in metrics:
            yield from [f"    - type: {metric}", f"      value: {scores[metric]:.2f}"]
            if signature := scores.get("signatures", {}).get(metric):
                yield f"      name: {_quoted(f'{LABELS[metric]} {signature}')}"


def _facts(run: Run, config: Config, vocabs: VocabPair, num_bytes: int) -> Iterator[str]:
    model = config.model
    sides = [f"{model.num_encoder_layers} + {model.num_decoder_layers} layers", f"width {model.d_model}"]
    if model.architecture == "decoder-only":
        sides[0] = f"{model.num_decoder_layers} layers"
    heads = [f"{model.num_heads} heads", f"{model.positions} positions"] if model.has_heads else []
    yield f"Architecture: {model.architecture}, {', '.join([*sides, *heads])}"
    yield f"Size: {num_parameters(run.weights_path):,} parameters, {num_bytes / 1e6:.1f} MB"
    sizes = f"{vocabs.src.size:,} pieces for both languages" if vocabs.joint else ""
    yield f"Vocabulary: {sizes or f'{vocabs.src.size:,} pieces of the source, {vocabs.tgt.size:,} of the target'}"
    texts = ", ".join(_code(name) for name in training_texts(config.data)) or "unknown"
    with suppress(UserError, OSError):  # the encoded text may be damaged or deleted
        if corpus := open_corpus(run.corpus_path / "train", vocabs):
            texts += f"; {len(corpus):,} sentence pairs"
    yield f"Training text: {texts}"


def _best_scores(run: Run, config: Config) -> dict[str, Any]:
    """Return the figures of the validation whose weights were kept; none if the run does not know them."""
    try:
        validations = [line for line in run.metrics() if "valid_loss" in line]
    except UserError:  # the file is damaged, but the model is not
        return {}
    sign = 1 if config.train.best_by == "valid_loss" else -1
    return min(validations, key=lambda line: sign * line.get(config.train.best_by, 0.0), default={})


def _score_lines(scores: dict[str, Any], config: Config) -> Iterator[str]:
    known = [metric for metric in LABELS if metric in scores]
    if not known:
        yield "Not measured."
        return
    lines = f"at most {config.train.validate_sentences:,} lines of the validation text"
    yield f"Greedy translations of {lines}, compared with its translations:\n"
    for metric in known:
        signature = scores.get("signatures", {}).get(metric)
        yield f"- {LABELS[metric]}: {scores[metric]:.1f}" + (f" ({_code(signature)})" if signature else "")


def _limits(config: Config) -> Iterator[str]:
    yield f"Translate one sentence at a time: lines of more than {config.data.max_pieces:,} pieces were not trained on."
    yield "It translates anything, but only text like its training text well: check what it says."
    yield "A model can repeat text that it was trained on."


def _code(text: str) -> str:
    """Return the text as a code span of Markdown."""
    text = spelled_out(text, "\n")
    fence = "`"
    while fence in text:
        fence += "`"
    return f"{fence} {text} {fence}" if "`" in text else f"{fence}{text}{fence}"


def _quoted(text: str) -> str:
    """Return the text as a quoted YAML string in ASCII where it cannot be shown."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each.isprintable() else f"\\U{ord(each):08X}" for each in text) + '"'
