"""Translations in the language of their sources are told from those in the other one, with few lines, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.corpora import TOY, head
from translate import cli
from translate.check.direction import TranslatedPair, are_in_source_language

ENGLISH, FRENCH = (head(TOY / f"train.{language}", 400).splitlines() for language in ("en", "fr"))


def answer(sources: list[str], references: list[str], translations: list[str]) -> bool:
    return are_in_source_language([*map(TranslatedPair, sources, references, translations)])


@pytest.mark.parametrize("number", [20, 50, 390])
def test_the_language_of_most_translations_decides(number: int) -> None:
    """The translations are those of other lines, so that only their language is right."""
    first, other = slice(number), slice(5, number + 5)
    assert answer(ENGLISH[first], FRENCH[first], ENGLISH[other])
    assert answer(FRENCH[first], ENGLISH[first], FRENCH[other])
    assert not answer(ENGLISH[first], FRENCH[first], FRENCH[other])
    few = [*ENGLISH[5 : 5 + number // 3], *FRENCH[5 + number // 3 : 5 + number]]
    assert not answer(ENGLISH[first], FRENCH[first], few)


def test_without_two_languages_nothing_is_said() -> None:
    assert not answer(ENGLISH[:200], ENGLISH[200:], ENGLISH[:200])
    assert not answer(ENGLISH[:200], ENGLISH[:200], ENGLISH[:200])
    assert not answer(ENGLISH[:19], FRENCH[:19], ENGLISH[:19])
    assert not answer(ENGLISH[:100], FRENCH[:100], [""] * 100)
    assert not answer([], [], [])


def test_evaluating_in_the_wrong_direction_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, lines in ("a.en", ENGLISH[:50]), ("a.fr", FRENCH[:50]), ("output", ENGLISH[5:55]):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    warning = "most translations are in the language of --src, not of --ref; if it translates in the other direction"
    for src, ref, is_wrong in ("a.en", "a.fr", True), ("a.fr", "a.en", False):
        files = ("--src", str(tmp_path / src), "--ref", str(tmp_path / ref), "--no-ter")
        assert cli._run(["evaluate", str(tmp_path / "output"), *files]) == 0
        assert capsys.readouterr().err.count(warning) == is_wrong
