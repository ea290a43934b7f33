"""Randomly damaged user input: the readers either read it correctly or report the error in one line."""

from __future__ import annotations

import csv
import io
import itertools
import json
import random
import re
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.helpers.formats import in_each_format, packings
from translate.alignment.error_rate import GoldFile
from translate.check.check import Texts, check
from translate.commands.attention_options import MapOptions, parse_selection
from translate.config.settings import Config
from translate.data.parallel_text import Pair, ParallelText
from translate.data.readers.lines import count_lines, read_lines
from translate.data.readers.sides import Side, digest_of_side
from translate.data.word_links import LinkedPair, linked_pairs
from translate.decoding.line_translator import LineTranslator
from translate.decoding.torch_engine import TorchEngine
from translate.errors import UserError
from translate.model.attention_kinds import Head
from translate.model.hooks import heads_of

T = TypeVar("T")
LINES = ["The cat sat on the mat.", "", "I love apples.", "日本語 👩\u200d👧", "a\tb\tc"] * 30
TEXT = "".join(f"{line}\n" for line in LINES).encode()


def mutants(content: bytes, count: int, signs: bytes = b"") -> Iterable[bytes]:
    """Reproducible copies with bytes changed, removed, inserted or truncated."""
    for seed in range(count):
        draw = random.Random(seed)
        mutant = bytearray(content)
        for _ in range(draw.choice([1, 1, 3, 20])):
            place, size = draw.randrange(len(mutant) + 1), draw.choice([1, 1, 2, 9])
            new = bytes(draw.choice(signs) for _ in range(size)) if signs else draw.randbytes(size)
            mutant[place : place + draw.choice([0, size])] = new if draw.random() < 0.6 else b""
        yield bytes(mutant[: draw.randrange(len(mutant) + 1)] if draw.random() < 0.2 else mutant)


def read_or_refused(path: Path, read: Callable[[], T]) -> T | None:
    """The result of reading, or None if a one-line error names the file."""
    said = ""
    try:
        return read()
    except UserError as error:
        said = str(error)
    assert said.startswith(str(path))
    assert "\n" not in said
    return None


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zst"])
def test_a_damaged_packed_file_is_read_completely_or_refused(tmp_path: Path, ending: str) -> None:
    if ending not in packings():
        pytest.skip("zstandard is not installed")
    path, pack = tmp_path / f"a.txt{ending}", packings()[ending]
    half = len(TEXT) // 2
    packed = {
        pack(TEXT): TEXT,
        pack(TEXT[:half]) + pack(TEXT[half:]): TEXT,
        pack(TEXT) + bytes(100): TEXT,
        pack(b"") + pack(TEXT) + pack(b""): TEXT,
    }
    for content, text in packed.items():
        path.write_bytes(content)
        assert "".join(f"{line}\n" for line in read_lines(path)).encode() == text
        assert count_lines(path) == len(LINES)
    num_read = 0
    first, second = pack(TEXT[:half]), pack(TEXT[half:])
    for mutant in [*mutants(first + second, 200), *(first + second[:size] for size in range(1, len(second), 3))]:
        path.write_bytes(mutant)
        lines = read_or_refused(path, lambda: list(read_lines(path)))
        assert read_or_refused(path, lambda: count_lines(path)) == (None if lines is None else len(lines))
        assert (read_or_refused(path, lambda: digest_of_side(Side(path, 1))) is None) == (lines is None)
        if lines is not None:  # headers have no checksum, and parts may be lost whole
            num_read += 1
            assert "".join(f"{line}\n" for line in lines).encode() in (TEXT, TEXT[:half], TEXT[half:], b"")
    assert num_read < 100


def test_a_damaged_tsv_file_gives_the_columns_of_its_lines_or_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    content = "".join(f"{i}\t{line}\t{line[::-1]}\textra\n" for i, line in enumerate(LINES[:3] * 9)).encode()
    num_read = 0
    for number, mutant in enumerate(mutants(content, 150, b"\t\n\r\0a\xff\xc3\xa9\xe2\x80\xa8 ")):
        path.write_bytes(mutant)
        text = ParallelText(Side(path, 2), Side(path, 3))
        pairs = read_or_refused(path, lambda text=text: list(text))
        if number < 12:  # the slow one of the two readers
            report = check(Texts(text), Config(), None, 1, lambda _: None)
            assert report.num_lines[0] == len(mutant.removesuffix(b"\n").split(b"\n"))
            stopping = {"columns", "not_utf8"} & {each.name for each in report.findings}
            assert (pairs is None) == bool(stopping)
        if pairs is not None:
            num_read += 1
            rows = [line.removesuffix("\r").split("\t") for line in mutant.decode().removesuffix("\n").split("\n")]
            assert pairs == [Pair(row[1], row[2]) for row in rows]
    assert 0 < num_read < 150


def one_line(text: str) -> str:
    return re.sub(r"[ \t]*[\r\n]\s*", " ", text).strip(" ") if re.search("[\r\n]", text) else text


def rows_of_table(content: bytes) -> list[list[str]]:
    rows = [*csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)]
    assert {len(row) for row in rows if row} == {2}
    return [[one_line(cell) for cell in row or ("", "")] for row in rows]


def texts_of_records(content: bytes) -> list[list[str]]:
    lines = content.decode("utf-8-sig").removesuffix("\n").split("\n")
    records = [json.loads(line).get("translation") if line.strip() else {"en": "", "fr": ""} for line in lines]
    assert all(record.keys() == {"en", "fr"} for record in records)
    return [[one_line(record[key] or "") for key in ("en", "fr")] for record in records]


def texts_of_units(content: bytes) -> list[list[str]]:
    root = ElementTree.fromstring(content)
    assert root.tag == "tmx"
    found = []
    for unit in root.iter("tu"):
        texts: dict[str, str] = {}
        for variant in unit.iter("tuv"):
            language = variant.attrib["{http://www.w3.org/XML/1998/namespace}lang"].lower()
            segment = variant.find("seg")
            if segment is not None:
                texts.setdefault(language, one_line("".join(segment.itertext())))
        assert texts.keys() <= {"en", "fr-fr"}
        found.append([texts.get("en", ""), texts.get("fr-fr", "")])
    return found


def lines_of_archive(content: bytes) -> list[list[str]]:
    archive = zipfile.ZipFile(io.BytesIO(content))
    sides = [archive.read(f"corpus.en-fr.{code}").decode().removesuffix("\n").split("\n") for code in ("en", "fr")]
    return [list(pair) for pair in zip(*sides, strict=True)]


ORACLES = {
    "plain.csv": rows_of_table,
    "nested.jsonl": texts_of_records,
    "memory.tmx": texts_of_units,
    "en-fr.txt.zip": lines_of_archive,
}


@pytest.mark.parametrize("name", ORACLES)
def test_a_damaged_file_with_both_sides_gives_what_another_parser_reads_or_is_refused(
    tmp_path: Path, name: str
) -> None:
    texts = [("The cat, who sat.", "Le chat"), ("", ""), ("a & b < c", '"d"'), ("日本語 👩\u200d👧", "é"), ("x", "")]
    content = in_each_format([Pair(*texts[i % 5]) for i in range(10)])[name]
    path, oracle, num_read = tmp_path / name, ORACLES[name], 0
    # Some cases are no damage for any parser: whitespace between tags, a character that becomes another.
    for mutant in [*mutants(content, 60), *mutants(content, 60, b'",\n<>&{}:\\ /a')]:
        path.write_bytes(mutant)
        text = ParallelText(Side(path, 1), Side(path, 2))
        pairs = read_or_refused(path, lambda text=text: list(text))
        if pairs is not None:
            num_read += 1
            assert [list(pair) for pair in pairs] == oracle(mutant)
    assert num_read < 120


def test_damaged_alignments_are_read_correctly_or_refused(tmp_path: Path) -> None:
    src, tgt, path = tmp_path / "s", tmp_path / "t", tmp_path / "links"
    src.write_text("a b c d\n" * 4, encoding="utf-8")
    tgt.write_text("x y z\n" * 4, encoding="utf-8")
    text = ParallelText(Side(src, 1), Side(tgt, 2), alignment=path)
    content = b"0-0 1-1 3-2\n\n2-1 2-2 0-0\n1-0\n"
    num_read = 0
    for mutant in mutants(content, 400, b"0123-p? \n\t\0\xff\xb2\xd9\xa1+_."):
        path.write_bytes(mutant)
        gold = read_or_refused(path, lambda: [list(links) for links in GoldFile(path)])
        if gold is not None:
            lines = mutant.decode().removesuffix("\n").split("\n") if mutant else []
            assert [[link.text for link in links] for links in gold] == [line.split() for line in lines]
            for link in itertools.chain.from_iterable(gold):
                assert [link.source, link.target] == [int(part) for part in link.text.split(_sign(link.text))]
                assert link.is_sure == ("-" in link.text)
        if mutant.count(b"\n") + (not mutant.endswith(b"\n")) != 4:
            continue
        linked = read_or_refused(path, lambda: list[LinkedPair](linked_pairs(text)))
        if linked is not None:
            num_read += 1
            told = [[f"{i}-{j}" for i, j in each.links] for each in linked]
            assert told == [
                ["-".join(str(int(part)) for part in link.split("-")) for link in line.split()] for line in lines
            ]
            assert all(i < 4 and j < 3 for each in linked for i, j in each.links)
    assert num_read > 20


def _sign(text: str) -> str:
    return next(sign for sign in "-p?" if sign in text)


@given(
    st.text("0123456789.- +_²١crosend", max_size=20)
    | st.from_regex(r"(cross|encoder|decoder)(\.[0-9]{1,3}){1,3}", fullmatch=True)
)
@example(f"cross.0.{'9' * 5000}")
@example("cross.00.1")
def test_a_masked_head_exists_in_the_model_or_is_refused(translator: LineTranslator, text: str) -> None:
    assert isinstance(translator.engine, TorchEngine)
    model = translator.engine.model
    said, head = "", None
    try:
        head = Head.parse(text, heads_of(model))
    except UserError as error:
        said = str(error)
    if head is None:
        assert said.startswith("--mask ")
        assert text not in map(str, heads_of(model))
    else:
        kind, *places = text.split(".")
        assert head in heads_of(model)
        assert head == (kind, *map(int, places))


@given(st.text("0123456789,- +_²١", max_size=12), st.text("encodrs,", max_size=12) | st.just("cross, encoder"))
@example("9" * 5000, "")
def test_attention_layers_and_kinds_are_parsed_or_refused(layers: str, kinds: str) -> None:
    said, selection = "", None
    try:
        selection = parse_selection(Path("maps"), MapOptions(kinds, layers, "float32", False))
    except UserError as error:
        said = str(error)
    if selection is None:
        assert said.startswith("--attention-")
        return
    assert set(selection.kinds or ()) == ({part.strip() for part in kinds.split(",")} if kinds else set())
    assert re.fullmatch(r"(\s*[0-9]+\s*,)*\s*[0-9]+\s*|", layers)
    assert selection.layers == (tuple(sorted({int(part) for part in layers.split(",")})) if layers else None)
