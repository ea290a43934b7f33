"""Parse the dates written by scripts/make_dates independently, with datetime and word tables."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_dates"
ONE_TO_NINE = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
VALUES = {word: number for number, word in enumerate((*ONE_TO_NINE, *TEENS), 1)}
VALUES |= {word: 10 * number for number, word in enumerate(TENS, 2)}
FIRST_TO_NINTH = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
DAYS = {word: number for number, word in enumerate(FIRST_TO_NINTH, 1)}
DAYS |= {f"twenty-{word}": 20 + number for word, number in DAYS.items()}
DAYS |= {f"{word}th": number for number, word in enumerate(TEENS, 10)}
DAYS |= {"twelfth": 12, "twentieth": 20, "thirtieth": 30, "thirty-first": 31}


def spelled_year(words: str) -> int:
    """Spell a year: two thousand and four, nineteen hundred, nineteen oh five, twenty forty-one."""
    first, *rest = [word for word in words.replace("-", " ").split() if word not in ("and", "oh")]
    if first == "two" and rest[:1] == ["thousand"]:
        return 2000 + sum(VALUES[word] for word in rest[1:])
    return 100 * VALUES[first] + sum(VALUES[word] for word in rest if word != "hundred")


def readings(text: str) -> set[date]:
    """Return all days that a numeric date could mean: year first, or last with day and month in either order."""
    text, found = re.sub(r"[ /.-]+", "-", text), set()
    for form in "%Y-%m-%d", "%d-%m-%Y", "%m-%d-%Y", "%d-%m-%y", "%m-%d-%y":
        try:
            found.add(datetime.strptime(text, form).date())
        except ValueError:
            continue
    return found


def parsed(text: str) -> date:
    """Return the only day that a text can mean. If it names a weekday, the weekday must match."""
    text = text.lower()
    if not re.search("[a-z]", text):
        (day,) = readings(text)
        return day
    weekday = re.search(r"\b(mon|tue|wed|thu|fri|sat|sun)(\w*day)?\b\.?", text)
    rest = text.replace(weekday[0], " ") if weekday else text
    rest = re.sub(r"\b(the|of|on|day)\b|[(),]", " ", rest)
    rest = " ".join(rest.split())
    month = re.search(r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?", rest)
    assert month
    before, after = rest[: month.start()].strip(" -"), rest[month.end() :].strip(" -")
    if not before or not after:  # day and year stand together, the day first
        both = before or after
        day_text, _, year_text = both.partition(" ")
        assert is_day(day_text)
    else:
        day_text, year_text = (before, after) if is_day(before) else (after, before)
    day = DAYS.get(day_text) or int(re.sub("[a-z]", "", day_text))
    if re.search("[a-z]", year_text):
        year = spelled_year(year_text)
    else:
        year = datetime.strptime(year_text.strip("'"), "%y" if "'" in year_text else "%Y").year
    found = datetime.strptime(f"{year} {month[1]} {day}", "%Y %b %d").date()
    assert not weekday or weekday[0].strip(".") in (f"{found:%a}".lower(), f"{found:%A}".lower())
    return found


def is_day(text: str) -> bool:
    return text in DAYS or bool(re.fullmatch(r"\d{1,2}(st|nd|rd|th)?", text))


def made(folder: Path, *arguments: str) -> dict[str, list[str]]:
    subprocess.run([sys.executable, SCRIPT, folder, *arguments], check=True, capture_output=True)
    return {path.name: path.read_text(encoding="utf-8").splitlines() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return made(tmp_path_factory.mktemp("dates"))


def test_every_pair_is_correct(files: dict[str, list[str]]) -> None:
    """Check all validation and test pairs, and every tenth training pair."""
    for part, step in ("valid", 1), ("test", 1), ("train", 10):
        for src, tgt in zip(files[f"{part}.src"][::step], files[f"{part}.tgt"][::step], strict=True):
            assert parsed(src) == date.fromisoformat(tgt), src


def test_numeric_dates_are_unambiguous(files: dict[str, list[str]]) -> None:
    """The previous test would have failed on an ambiguous date; this one shows that numeric dates occur."""
    numbers = [src for src in files["train.src"] if not re.search("[A-Za-z]", src)]
    assert len(numbers) > 20_000
    assert readings("3/11/04") == {date(2004, 3, 11), date(2004, 11, 3)}
    assert all(len(readings(text)) == 1 for text in numbers[::7])


def test_no_day_is_in_two_splits(files: dict[str, list[str]]) -> None:
    days = {part: set(files[f"{part}.tgt"]) for part in ("train", "valid", "test")}
    assert [len(files[f"{part}.src"]) for part in days] == [100_000, 1000, 1000]
    assert not days["train"] & (days["valid"] | days["test"])
    assert not days["valid"] & days["test"]


def test_same_seed_writes_the_same_files(files: dict[str, list[str]], tmp_path: Path) -> None:
    """The files are written in a separate process, with a different hash seed."""
    assert made(tmp_path, "--seed", "1") == files
