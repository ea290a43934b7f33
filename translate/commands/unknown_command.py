"""Say what was meant by a word that is no command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import join, quote

from translate.commands.named_runs import example_run, exists, is_run
from translate.config.nearest import nearest

# By command: what other programs call it.
_SYNONYMS: Mapping[str, str] = {
    "train": "fit learn training fine-tune finetune resume preprocess prepare",
    "decode": "translate trans infer inference predict prediction generate run test-translate interactive sample",
    "evaluate": "eval evaluation test bleu sacrebleu chrf metrics",
    "check": "validate clean filter inspect stats lint",
    "score": "perplexity ppl rescore logprob",
    "serve": "server web demo api start gui",
    "export": "convert save onnx ctranslate2 huggingface hf",
    "attention": "show plot draw visualize visualise visualization attn heatmap maps map heads",
}


def unknown_command(program: str, words: Sequence[str], names: Sequence[str]) -> str:
    """Return the error for a command line whose first word is no command. program: the words before, `translate`."""
    word, *others = words
    if meant := _as_another_command(word, others, names):
        return f"No such command: {quote(word)} ({program} --help); did you mean: {program} {meant}"
    return f"No such command: {quote(word)} ({program} --help); the commands are {', '.join(names)}"


def _as_another_command(word: str, others: Sequence[str], names: Sequence[str]) -> str | None:
    path, rest = Path(word), f" {join(others)}" if others else ""
    name = word.lower()
    if name == "translate" and others[:1] and others[0] in names:
        return join(others)
    if name == "help":
        command = others[:1] if others[:1] and others[0] in names else []
        return join([*command, "--help"])
    if near := nearest(word, names) or next((own for own, others in _SYNONYMS.items() if name in others.split()), None):
        return near + rest
    if exists(path):
        return _with_a_path(path, others)
    if any(letter.isspace() for letter in word):
        return f"decode {example_run()} {quote(word)}"
    return None


def _with_a_path(path: Path, others: Sequence[str]) -> str | None:
    """Return the command for a path in place of a command."""
    if is_run(path):
        return join(["decode", str(path), *(others or ["I love apples."])])
    if (path / "about.json").is_file() or path.suffix == ".npz":
        return join(["attention", str(path), *others])
    if path.suffix == ".toml":
        return join(["train", str(path), *others])
    if path.is_file() and others and exists(Path(others[0])):
        return join(["train", "--src", str(path), "--tgt", *others])
    return f"decode {example_run()} --input {quote(str(path))}" if path.is_file() else None
