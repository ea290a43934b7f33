"""Say what a command translates if its sentences look like something else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import join, quote

from translate.commands.named_runs import exists
from translate.system.terminal_text import print_message

MIN_WORDS, MAX_LENGTH = 3, 20  # of a sentence without quotation marks: words, and letters of each
ENDS = (".", "!", "?", ":", ";")


def note_odd_sentences(run: Path, sentences: Sequence[str]) -> None:
    """Print a note if a sentence is the name of a file, or if the sentences are the words of one."""
    start = f"translate decode {quote(str(run))}"
    if files := [sentence for sentence in sentences if "." in sentence and exists(Path(sentence))]:
        command = f"{start} --input {quote(files[0])}"
        print_message(f"note: {files[0]} is translated as a sentence; for the lines of the file: {command}")
    elif (
        len(sentences) >= MIN_WORDS
        and all(map(_is_word, sentences))
        and not any(word.endswith(ENDS) for word in sentences[:-1])
    ):
        whole = join([" ".join(sentences)])
        print_message(f"note: {len(sentences)} words are translated one by one; for one sentence: {start} {whole}")


def _is_word(text: str) -> bool:
    return 0 < len(text) <= MAX_LENGTH and not any(letter.isspace() for letter in text)
