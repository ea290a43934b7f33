"""Each format with both sides gives the pairs of plain text, or one line that says why not."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from collections import deque
from pathlib import Path

import pytest

import translate
from tests.helpers.commands import run
from tests.helpers.corpora import toy_pairs
from tests.helpers.formats import csv_text, in_each_format, opus_zip, packings, tmx
from tests.helpers.runs import changed, train_into
from translate.config.files import BOTH_SIDES, PACKED
from translate.config.settings import Config, DataSettings
from translate.config.toml import load_config, to_toml
from translate.data.parallel_text import Pair, ParallelText, fingerprint, text_of
from translate.data.readers import lines
from translate.data.readers import packings as packing_reader
from translate.data.readers import tmx as tmx_reader
from translate.data.readers.rows import Wanted
from translate.data.readers.sides import FORMATS, read_rows, read_side
from translate.data.readers.tables import is_header
from translate.data.text_scan import scan_text
from translate.errors import UserError
from translate.run.folder import Run
from translate.training.prepare import prepare

PAIRS = [
    *toy_pairs(20),
    Pair('She said: "No, never!"', "« Non ! »"),
    Pair("", ""),
    Pair("a < b && c > d", "x"),
    Pair("  two  spaces ", "日本語 👩\u200d👧\u2028"),
    Pair("only", ""),
]


def read(path: Path, **settings: object) -> ParallelText:
    data = DataSettings.model_validate({"train_src": str(path), **settings})
    return text_of(data, data.train_src, data.train_tgt)


def refusal(path: Path, **settings: object) -> str:
    """The error of a file: one line that names it."""
    with pytest.raises(UserError) as caught:
        list(read(path, **settings))
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    return said.removeprefix(f"{path}: ")


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", in_each_format(PAIRS))
def test_each_format_gives_the_same_pairs_in_each_packing(tmp_path: Path, name: str) -> None:
    content = in_each_format(PAIRS)[name]
    is_archive = name.endswith(".zip")
    for ending, pack in ({} if is_archive else packings()).items() | {"": bytes}.items():
        path = written(tmp_path, f"{name}{ending}", pack(content))
        text = read(path)
        assert list(text) == PAIRS
        for side in (0, 1):
            assert list(read_side((text.src, text.tgt)[side])) == [pair[side] for pair in PAIRS]
        assert scan_text(text).fingerprint == fingerprint(text)
        if "plain" not in name:
            exchanged = read(path, src_column="fr", tgt_column="en")
            assert list(exchanged) == [Pair(tgt, src) for src, tgt in PAIRS]
            assert list(read(path, reverse=True)) == list(exchanged)


def test_each_format_gives_the_same_run_bit_for_bit(tmp_path: Path, tiny_config: Config) -> None:
    pairs = toy_pairs(230)  # enough to hold some out
    contents = in_each_format(pairs)
    names = {"plain.en": "", "plain.fr": ""}
    for side, name in enumerate(names):
        names[name] = str(written(tmp_path, name, "".join(f"{pair[side]}\n" for pair in pairs)))
    texts = [(names["plain.en"], names["plain.fr"])]
    texts += [(str(written(tmp_path, name, content)), "") for name, content in contents.items()]
    found = set()
    for number, (src, tgt) in enumerate(texts):
        files = {"train_src": src, "train_tgt": tgt or src, "valid_src": "", "valid_tgt": ""}
        config = changed(changed(tiny_config, "data", **files), "train", max_steps=2, snapshot_sentences=0)
        path = tmp_path / f"run{number}"
        if number in (0, len(texts) - 1):
            train_into(path, config)
        else:  # the vocabulary takes most of the time, and would differ if the text did
            prepare(Run.create(path, config), changed(config, "vocab", model=str(tmp_path / "run0" / "vocab.model")))
        files_of_run = [path / "vocab.model", *sorted((path / "corpus").iterdir())]
        found.add(tuple((each.name, each.read_bytes()) for each in files_of_run if each.suffix != ".json"))
    assert len(found) == 1
    weights = [(tmp_path / f"run{number}" / "model.safetensors").read_bytes() for number in (0, len(texts) - 1)]
    assert weights[0] == weights[1]


HEADERS = {
    "src\ttgt": True,
    "English\tFrench": True,
    "id\ten\tfr\tscore": True,
    "source_text\ttranslation": True,
    "en-US\tpt_BR": True,
    "Hello.\tBonjour.": False,
    "en\tBonjour.": False,
    "No, English!\tNon, anglais !": False,
    "one\tun": False,
    "English\tanglais": False,
    "en\tfr\tCC-BY 2.0 (France) Attribution: tatoeba.org #1": False,
    "english": False,
}


@pytest.mark.parametrize("row", HEADERS)
def test_a_header_is_recognized_only_where_it_is_plain(row: str) -> None:
    assert is_header(row.split("\t")) == HEADERS[row]


def test_a_header_is_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "a.csv", "id,en,fr\n1,Go.,Va !\n\n2,Hi.,Salut !\n")
    pairs = [Pair("Go.", "Va !"), Pair("", ""), Pair("Hi.", "Salut !")]
    columns = {"src_column": 2, "tgt_column": 3}
    for _ in range(2):
        assert list(read(path, **columns)) == pairs
    assert capsys.readouterr().err == (
        f"note: {path}: row 1 (id, en, fr) is read as a header; if it is a pair, set data.header=no\n"
    )
    assert list(read(path, src_column="EN", tgt_column="French")) == pairs
    assert list(read(path, **columns, header="no")) == [Pair("en", "fr"), *pairs]
    assert list(read(path, **columns, header="yes")) == pairs
    assert list(read(written(tmp_path, "b.tsv", "x\ty\nz\tw\n"), header="yes")) == [Pair("z", "w")]
    assert "does not name a column de (id, en, fr)" in refusal(path, src_column="de")
    assert 'column en is named, but data.header = "no"' in refusal(path, src_column="en", header="no")


def test_line_breaks_in_fields_and_texts_become_spaces(tmp_path: Path) -> None:
    lines = [Pair("one\ntwo", "un  \r\n  deux"), Pair("\n a\tb\n", "c")]
    expected = [Pair("one two", "un deux"), Pair("a\tb", "c")]
    files = {"a.csv": csv_text(lines), "a.tmx": tmx(lines)}
    files["a.jsonl"] = "".join(json.dumps({"en": pair.src, "fr": pair.tgt}) + "\n" for pair in lines)
    for name, content in files.items():
        assert list(read(written(tmp_path, name, content))) == expected


def test_the_languages_of_a_memory_are_chosen_by_code_or_are_two(tmp_path: Path) -> None:
    unit = '<tu><tuv xml:lang="EN-gb"><seg>a <bpt i="1">&lt;b></bpt>b<ept i="1"/> <hi>c</hi></seg></tuv>{}</tu>'
    de, fr, other = (f'<tuv lang="{code}"><seg>{code}</seg></tuv>' for code in ("de", "fr-CA", "fr-FR"))
    path = written(
        tmp_path, "a.tmx", f"<tmx><body>{unit.format(fr)}{unit.format('')}{unit.format(de + fr)}</body></tmx>"
    )
    pairs = [Pair("a b c", "fr-CA"), Pair("a b c", ""), Pair("a b c", "fr-CA")]
    assert list(read(path, src_column="en", tgt_column="fr")) == pairs
    assert list(read(path, src_column="de", tgt_column="fr"))[1:] == [Pair("", ""), Pair("de", "fr-CA")]
    assert "does not have two languages: its languages are en-gb, fr-ca, de; name them" in refusal(path)
    assert "has no ru: its languages are en-gb, fr-ca, de" in refusal(path, src_column="ru", tgt_column="fr")
    path = written(tmp_path, "b.tmx", f"<tmx>{unit.format(fr + other)}</tmx>")
    assert list(read(path, src_column="en", tgt_column="fr")) == [Pair("a b c", "fr-CA")]


LAUGHS = '<!DOCTYPE tmx [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><tmx><tu><tuv lang="en"><seg>&b;</seg></tuv></tu></tmx>'
SEG = '<tmx><tu><tuv lang="en"><seg>{}</seg></tuv></tu></tmx>'
MEMORIES = {
    LAUGHS: "unit 1 (line 1): entities are declared (a), which could expand without end",
    f'<!DOCTYPE tmx [<!ENTITY a SYSTEM "file:///etc/passwd">]>{SEG.format("&a;")}': "entities are declared (a)",
    f'<!DOCTYPE tmx [<!ENTITY % a SYSTEM "http://127.0.0.1/">%a;]>{SEG.format("x")}': "entities are declared (a)",
    f'<!DOCTYPE tmx SYSTEM "http://127.0.0.1/x.dtd">{SEG.format("caf&eacute;")}': "&eacute; is not defined in the file",
    SEG.format("caf&eacute;"): "not valid XML (undefined entity",
    SEG.format("<a>" * 99 + "</a>" * 99): "more than 64 elements within one another",
    SEG.format("x")[:-6]: "unit 2 (line 1): not valid XML (no element found)",
    "\n\n<html></html>": "unit 1 (line 3): not a translation memory: its outermost element is <html>, not <tmx>",
    SEG.format("x").replace(' lang="en"', ""): "a text without a language: its <tuv> lacks xml:lang",
    f'<?xml version="1.0" encoding="x-bogus"?>{SEG.format("x")}': "not valid XML (unknown encoding",
    SEG.format("x" * 2_000_000): "a text is longer than 1,000,000 characters",
    f"<tmx><!--{'x' * 3_000_000}--></tmx>": "a tag, comment or other part is longer than 2 MB",
    f'<tmx a="{"x" * 3_000_000}"></tmx>': "a tag, comment or other part is longer than 2 MB",
}


@pytest.mark.parametrize("content", MEMORIES, ids=MEMORIES.values())
def test_hostile_and_damaged_memories_are_refused_in_one_line(tmp_path: Path, content: str) -> None:
    assert MEMORIES[content] in refusal(written(tmp_path, "a.tmx", content))


RECORDS = {
    "[]": "line 1 is a list; write an object per line: jq -c '.[]' FILE > NEW.jsonl",
    '{"en": "a", "fr": "b"}\n{"en": "a"': "line 2 is not JSON (",
    '{"en": "a", "fr": "b"}\n{"en": "a"}': "line 2 has no text under fr",
    '{"en": "a", "fr": "b"}\n{"en": "a", "fr": 5}': "line 2 has no text under fr, but another value",
    '{"en": "a", "fr": "b"}\n{"en": "a", "fr": "\\ud83d"}': "line 2 has half of a surrogate pair under fr",
    '{"en": "a", "fr": "b"}\n{"en": "a", "fr": "b", "de": "c"}': "line 2 has text under de, too; name two keys by",
    '{"en": "a", "en": "b"}': "line 1 has the same key twice",
    '{"id": "7", "en": "a", "fr": "b"}': "has 3 keys with text (id, en, fr); name two of them by data.src_column and",
    '\n{"en": null, "fr": "b"}': "line 2, its first object, has text under fr only; name two keys by data.src_column",
    "{}": "line 1, its first object, has no text; name two keys by",
    "[" * 100_000: "line 1 is not JSON (",
    '"x"': 'line 1 is not an object with texts by language, such as {"en"',
    '{"en": "' + "x" * 1_000_000 + '"}': "line 1 is longer than 1,000,000 bytes",
}


@pytest.mark.parametrize("content", RECORDS, ids=RECORDS.values())
def test_unusable_records_are_refused_in_one_line(tmp_path: Path, content: str) -> None:
    assert RECORDS[content] in refusal(written(tmp_path, "a.jsonl", content))


TABLES = {
    'a,"b\n': "row 1 (line 1) has a quotation mark that is never closed; remove it, or double it",
    'a,b\nc,"d\ne,f\ng,h\n': "row 2 (line 2) has a quotation mark that is never closed",
    "a,b\rc,d\r": r"row 1 (line 1) has carriage returns as line ends; convert the file with: tr '\r' '\n'",
    'a,b\n"a"x,b\n': "row 2 (line 2) is not valid CSV (",
    "a,b\nc, d, e\n": "row 2 has 3 columns, but row 1 has 2; text with commas must be in quotes",
    'a,b\n"c\nd",e\nf\n': "row 3 has 1 columns, but row 1 has 2",
    "a\n": "row 1 has 1 columns, but column 2 was requested; columns are separated by commas",
    "a, b;c\nd;e\n": "row 2 has 1 columns, but row 1 has 2; text with commas must be in quotes",
    "a;b\n": "row 1 has semicolons instead of commas; save the table with commas, or with tabs as a .tsv file",
    f'a,"{"x" * 999_000}\n{"x" * 9_000}"\n': "row 1 (line 2) is not valid CSV (field larger than field limit",
    f"a,{'x' * 1_000_000}": "row 1 (line 1) is longer than 1,000,000 bytes",
}


@pytest.mark.parametrize("content", TABLES, ids=TABLES.values())
def test_unusable_tables_are_refused_in_one_line(tmp_path: Path, content: str) -> None:
    assert TABLES[content] in refusal(written(tmp_path, "a.csv", content))


def test_a_table_tells_which_columns_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scored, table = written(tmp_path, "a.tsv", "0.9\tGo.\tVa !\n"), written(tmp_path, "b.tsv", "Go.\tVa !\n")
    for path, columns in (scored, (2, 3)), (scored, (1, 2)), (table, (1, 2)):
        deque(read_rows(Wanted(path, columns)), maxlen=0)
    said = [
        f"note: {scored}: columns 1 and 2 of 3 are read; to choose others, set data.src_column and data.tgt_column",
        f"note: {table}: columns 1 and 2 are read",
    ]
    assert [line.partition(" (")[0] for line in capsys.readouterr().err.splitlines()] == said


def archive_of(**members: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return stream.getvalue()


def with_flag(content: bytes, flag: int) -> bytes:
    """An archive with a flag set in each entry of its directory and in each header."""
    changed = bytearray(content)
    for mark, offset in (b"PK\x01\x02", 8), (b"PK\x03\x04", 6):
        place = changed.find(mark)
        while place >= 0:
            changed[place + offset] |= flag
            place = changed.find(mark, place + 1)
    return bytes(changed)


def test_unusable_archives_are_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = opus_zip(PAIRS)
    monkeypatch.setattr("translate.data.readers.moses_zip.RATIO_BYTES", 10_000)
    archives = {
        "damaged or incomplete ZIP archive (File is not a zip file)": sound[:-30],
        "corpus.en-fr.en: is encrypted; extract it with its password": with_flag(sound, 1),
        "'../x.en': a member's name contains '../'; extract it": archive_of(**{"../x.en": "a", "x.fr": "b"}),
        "'': a member's name is empty; extract it": archive_of(**{"q": "a", "x.fr": "b"}).replace(b"q", b"\0"),
        "'a\\nb.en': a member's name contains '\\n'": archive_of(**{"a\nb.en": "a", "x.fr": "b"}),
        "x.en: unpacks to more than 1,000 times its size": archive_of(**{"x.en": "a" * 10**7, "x.fr": "b"}),
        "needs two text files whose names differ in the language at the end, but has none": archive_of(README="a"),
        "but has 2 sets of them (a, b)": archive_of(**{"a.en": "", "a.fr": "", "b.en": "", "b.fr": ""}),
        "has 3 languages (en, fr, de); name two of them": archive_of(**{"a.en": "", "a.fr": "", "a.de": ""}),
        "a.fr has fewer lines than a.en": archive_of(**{"a.en": "x\ny\n", "a.fr": "x\n"}),
        "a.en: is compressed with gzip": archive_of(**{"a.en": "", "a.fr": ""}).replace(b"", b"")
        and archive_of(**{"a.en": "\x1f\x0b", "a.fr": ""}),
    }
    archives.popitem()
    for reason, content in archives.items():
        assert reason in refusal(written(tmp_path, "a.zip", content)), reason
    damaged = bytearray(sound)
    damaged[sound.index(b"corpus.en-fr.fr") + 60] ^= 1
    assert "corpus.en-fr.fr: damaged or incomplete (" in refusal(written(tmp_path, "a.zip", bytes(damaged)))


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing_reader, "RATIO_BYTES", 10**4)
    monkeypatch.setattr(packing_reader, "MAX_RATIO", 100)
    content = b"\t\n" * 10**5
    for ending, pack in packings().items():
        path = written(tmp_path, f"a.tsv{ending}", pack(content))
        assert "unpacks to more than 100 times its size, as no text does" in refusal(path)


def test_zstandard_without_its_package_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing_reader, "find_spec", lambda name: None)
    assert refusal(written(tmp_path, "a.tsv.zst", b"")) == (
        "reading files packed by Zstandard requires a package: pip install zstandard"
    )


def test_several_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    halves = PAIRS[:9], PAIRS[9:]
    names: dict[str, list[str]] = {"en": [], "fr": []}
    for number, half in enumerate(halves):
        for side, language in enumerate(names):
            content = "".join(f"{pair[side]}\n" for pair in half)
            names[language].append(str(written(tmp_path, f"{number}.{language}", content)))
    tables = [str(written(tmp_path, f"{number}.csv", csv_text(half))) for number, half in enumerate(halves)]
    for src, tgt in (
        (names["en"], names["fr"]),
        (tables, ""),
        ([tables[0], names["en"][1]], [tables[0], names["fr"][1]]),
    ):
        data = DataSettings.model_validate({"train_src": src, "train_tgt": tgt})
        text = text_of(data, data.train_src, data.train_tgt)
        assert list(text) == PAIRS
        assert [number for number, _ in text.numbered()] == list(range(1, len(PAIRS) + 1))
        before = fingerprint(text)
        assert scan_text(text).fingerprint == before
        content = Path(src[1]).read_bytes()
        Path(src[1]).write_bytes(content + b"more,more\n")
        assert fingerprint(text) != before
        Path(src[1]).write_bytes(content)
    # Lines that are missing in one file and left over in another would shift all pairs in between.
    Path(names["fr"][0]).write_text("x\n" * 8, "utf-8")
    Path(names["fr"][1]).write_text("x\n" * (len(PAIRS) - 8), "utf-8")
    data = DataSettings.model_validate({"train_src": names["en"], "train_tgt": names["fr"]})
    with pytest.raises(UserError, match=r"0\.en has 9 lines but .*0\.fr has 8;"):
        list(text_of(data, data.train_src, data.train_tgt))


def test_files_with_their_languages_in_another_order_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = in_each_format(PAIRS[:3])
    there = [written(tmp_path, name, contents[name]) for name in ("memory.tmx", "flat.jsonl", "en-fr.txt.zip")]
    data = DataSettings.model_validate({"train_src": list(map(str, there))})
    assert list(text_of(data, data.train_src, data.train_tgt)) == 3 * PAIRS[:3]
    said = capsys.readouterr().err
    assert f"{there[0]}: columns 1 and 2 are its languages en and fr-fr; to choose others" in said
    assert f"{there[1]}: columns 1 and 2 are its keys with text en and fr; to choose others" in said
    back = written(tmp_path, "back.jsonl", '{"fr": "b", "en": "a"}\n')
    data = DataSettings.model_validate({"train_src": [str(there[0]), str(back)]})
    with pytest.raises(UserError, match=r"back\.jsonl: column 1 is fr, but en in the files before; name the keys"):
        list(text_of(data, data.train_src, data.train_tgt))
    status, _, said = run(capsys, "check", "--src", there[0], "--src", back)
    assert (status, "column 1 is fr, but en in the files before" in said) == (2, True)
    named = run(capsys, "check", "--src", there[0], "--src", back, "--src-column", "en", "--tgt-column", "fr")
    assert named[0] == 0


def test_commands_read_both_sides_from_src_alone(
    tmp_path: Path, tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = toy_pairs(6)
    plain = [
        written(tmp_path, f"a.{code}", "".join(f"{pair[i]}\n" for pair in pairs)) for i, code in ((0, "en"), (1, "fr"))
    ]
    memory = written(tmp_path, "a.tmx", in_each_format(pairs)["memory.tmx"])
    archive = written(tmp_path, "a.zip", in_each_format(pairs)["en-fr.txt.zip"])
    for command, option, *rest in ("score", "--tgt"), ("evaluate", "--ref", "--no-ter"):
        texts = [plain[0], option, plain[1]], [memory], [archive, "--src-column", "en"]
        shown = [run(capsys, command, tiny_run, "--src", *text, "--device", "cpu", *rest) for text in texts]
        assert [status for status, _, _ in shown] == [0, 0, 0]
        assert len({text.partition("\n")[2] for _, text, _ in shown}) == 1  # the first line has the names of the files
        assert f"{option} is missing; add {option} FILE" in run(capsys, command, tiny_run, "--src", plain[0])[2]
        assert "data.tgt_column = 0: should be a number" in run(
            capsys, command, tiny_run, "--src", memory, "--tgt-column", "0"
        )[2]  # fmt: skip
    found = [run(capsys, "decode", tiny_run, "--input", path, "--device", "cpu")[1] for path in (plain[0], memory)]
    assert found[0] == found[1] != ""


def test_a_file_with_both_sides_and_another_name_is_refused_with_its_ending(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = in_each_format(PAIRS[:3])
    for name in "plain.tsv", "flat.jsonl", "memory.tmx", "en-fr.txt.zip":
        path = written(tmp_path, "a.txt", contents[name])
        ending = Path(name).suffix
        for command in "check", "train":
            said = f"error: {path}: holds both sides according to its content; give it a name that ends in {ending}\n"
            assert run(capsys, command, "--src", path) == (2, "", said)
    head = b"PK\x03\x04" + bytes(26)
    others = {
        "a.xlsx": (head + b"[Content_Types].xml", "is an office document; save a table as CSV in UTF-8 (.csv)"),
        "a.ods": (head + b"mimetypeapplication/vnd.oasis", "is an office document"),
        "a.data": (b"\x1f\x8b\x08\x00", "is compressed with gzip; give it a name that ends in .gz"),
    }
    for name, (binary, said) in others.items():
        assert f"{tmp_path / name}: {said}" in run(capsys, "check", "--src", written(tmp_path, name, binary))[2]
    path = written(tmp_path, "a.txt", "One sentence.\n")
    assert "train_src is set but train_tgt is not; set both, or" in run(capsys, "check", "--src", path)[2]


def test_check_names_rows_units_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = written(tmp_path, "a.csv", 'en,fr\n"Go.\nNow.",Va !\nHi.\nSame.,Same.\n,Vide.\n')
    status, shown, _ = run(capsys, "check", "--src", table)
    assert status == 0
    assert "1 × wrong number of columns: row 3" in shown
    assert "1 × identical sides: row 4" in shown
    assert "empty source, non-empty target: row 5" in shown
    memory = written(tmp_path, "a.tmx", tmx([Pair("a", "b"), Pair("c", "c")]))
    report = json.loads(run(capsys, "check", "--src", memory, "--src", table, "--json")[1])
    assert (report["unit"], report["starts"]) == ("unit", [{"path": str(table), "line": 4}])
    assert [each["lines"] for each in report["findings"] if each["name"] == "identical"] == [[2, 6]]
    memory.write_text(tmx([Pair("a", "b")]).replace("</tuv>", "", 1), "utf-8")
    status, shown, said = run(capsys, "check", "--src", memory)
    assert (status, shown) == (2, "")
    assert said.startswith(f"error: {memory}: unit 1 (line 9): not valid XML (mismatched tag")


def test_a_column_that_is_a_language_names_the_language_of_the_run() -> None:
    data = DataSettings.model_validate({"train_src": "a.tmx", "src_column": "en", "tgt_column": "target"})
    assert (data.train_tgt, data.languages) == ("a.tmx", ("en", ""))
    assert DataSettings.model_validate({"train_src": "a.de", "train_tgt": "a.fr", "src_column": "en"}).src_lang == "de"


def test_reading_a_memory_takes_no_memory_for_its_size(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tmx", tmx([Pair(f"source {i}", f"target {i}") for i in range(7_000)]))
    tracemalloc.start()
    assert sum(1 for _ in read(path)) == 7_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 700_000 < path.stat().st_size
    assert tmx_reader.BLOCK_BYTES < lines.BLOCK_BYTES


def test_the_endings_of_files_with_both_sides_are_those_of_formats() -> None:
    assert set(BOTH_SIDES) == set(FORMATS)
    assert set(PACKED) == set(packing_reader.PACKINGS)


def test_python_takes_lists_of_files_and_files_with_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[dict[str, object]] = []
    monkeypatch.setattr("translate.api.training.start_training", lambda run, config, given, *_: begun.append(given))
    monkeypatch.setattr("translate.api.training.Translator.load", lambda *_: None)
    translate.train(src=[tmp_path / "a.tmx", "b.tsv"], valid_src=Path("c.csv"), out=tmp_path / "run")
    data = load_config(None, begun[0]).data
    assert (data.train_src, data.valid_tgt) == (data.train_tgt, data.valid_src)
    assert data.train_src == (str(tmp_path / "a.tmx"), str(Path("b.tsv").resolve()))
    with pytest.raises(TypeError, match="src should be a path, not int"):
        translate.train(src=["a.tmx", 3], out=tmp_path / "run")


def test_lists_of_files_and_names_of_columns_are_kept_in_settings(tmp_path: Path) -> None:
    files = 'train_src = ["a.en", "../b.en"]\ntrain_tgt = ["a.fr", "b.fr"]\nvalid_src = ["v.tmx"]\n'
    path = written(tmp_path, "c.toml", f'[data]\n{files}src_column = "en"\ntgt_column = 3\n')
    config = load_config(path)
    assert config.data.train_src == (str(tmp_path / "a.en"), str(tmp_path.parent / "b.en"))
    assert config.data.valid_src == config.data.valid_tgt == str(tmp_path / "v.tmx")
    assert load_config(written(tmp_path, "again.toml", to_toml(config))) == config
    path.write_text('[data]\ntrain_src = ["a.en", "b.en"]\ntrain_tgt = "a.fr"\n', "utf-8")
    with pytest.raises(UserError, match=r"c\.toml: \[data\] train_src has 2 files but train_tgt has 1; file n of one"):
        load_config(path)
