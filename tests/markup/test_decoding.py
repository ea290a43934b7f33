"""`--keep markup` with each way to pass text, and from Python."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.markup.test_markup import squeezed
from translate import cli
from translate.alignment.methods import MapChoice
from translate.api import load_translator
from translate.api.translator import Translator
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest
from translate.errors import UserError
from translate.markup.keeper import MarkupKeeper, keep_markup, keeps_markup
from translate.markup.links import Linker
from translate.markup.patterns import tokens
from translate.markup.stand_ins import StandIn

LINES = [
    "I love <b>apples</b>.",
    "",
    "<br/>",
    "{name}!",
    "The <i>cat <u>sat</u></i> on the mat, {name}. <x id='1'/>",
    "My father has a red car &amp; she reads.",
    "Two dogs <b>sleep</b>. " * 60,
    "I love apples.",
]


@pytest.fixture(scope="module")
def keeping(translator: LineTranslator, tiny_run: Path) -> LineTranslator:
    return keep_markup(translator, tiny_run)


def without_items(text: str) -> str:
    return squeezed("".join(token.text for token in tokens(text) if token.kind == "text"))


@pytest.mark.parametrize("num_best", [1, 2])
def test_items_are_kept_around_the_translation_of_the_text(
    keeping: LineTranslator, translator: LineTranslator, num_best: int
) -> None:
    request = DecodeRequest(num_best)
    found = list(keeping.translations(LINES, request=request))
    plain = list(translator.translations([(each.plain or each).source for each in found], request=request))
    assert [each.source for each in found] == LINES
    for line, kept, expected in zip(LINES, found, plain, strict=True):
        assert [candidate.score for candidate in kept.translations] == [each.score for each in expected.translations]
        for candidate, other in zip(kept.translations, expected.translations, strict=True):
            if "&amp;" not in line and not (kept.plain and not kept.plain.source):
                assert without_items(candidate.text) == without_items(other.text)
            items = sorted(token.raw for token in tokens(line) if token.kind != "text")
            assert sorted(token.raw for token in tokens(candidate.text) if token.kind != "text") == items
    assert [found[n].text for n in (1, 2, 3)] == LINES[1:4]
    assert found[7].plain is None


def test_the_command_keeps_markup(
    tiny_run: Path, keeping: LineTranslator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, maps = tmp_path / "text", tmp_path / "maps"
    text.write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    command = ["decode", str(tiny_run), "--device", "cpu", "--keep", "markup", "--input", str(text)]
    expected = list(keeping.translations(LINES))
    assert cli._run([*command, "--json", "--attention", str(maps)]) == 0
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["source"] for each in objects] == LINES
    assert [each["translations"][0]["text"] for each in objects] == [each.text for each in expected]
    assert [each.get("plain", {}).get("text") for each in objects] == [
        each.plain and each.plain.text for each in expected
    ]
    entries = [json.loads(line) for line in (maps / "index.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [each["source"] for each in entries] == [(each.plain or each).source for each in expected]
    assert [each["translation"] for each in entries] == [(each.plain or each).text for each in expected]
    output = tmp_path / "out"
    assert cli._run([*command, "--output", str(output)]) == 0
    assert output.read_text(encoding="utf-8") == "".join(f"{each.text}\n" for each in expected)
    assert cli._run([*command[:-3], "markups", *command[-2:]]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: --keep markups: unknown; did you mean markup?"


def test_ctranslate2_translates_and_our_engine_aligns(tiny_run: Path, keeping: LineTranslator) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is an extra: pip install ctranslate2")
    t = Translator.load(tiny_run, "cpu", "ctranslate2")
    assert t.translate(LINES[:5], keep="markup", beam_size=1) == [
        each.text for each in keeping.translations(LINES[:5], keeping.settings.model_copy(update={"beam_size": 1}))
    ]


def test_of_the_translations_with_stand_ins_one_that_has_their_translation_is_kept(
    translator: LineTranslator, tiny_run: Path
) -> None:
    bare, full = translator.translations(["I love.", "I love apples."])
    word = next(word for word in re.findall(r"\w+", full.text) if full.text.count(word) == 1)
    best = max((bare, full), key=lambda each: each.translations[0].score)
    for translation, expected in (word, best), ("xyzzy", bare):
        keeper = MarkupKeeper(lambda: Linker(translator, tiny_run))
        keeper._stand_ins = [StandIn("apples", translation)]
        (found,) = translator.with_rewriter(keeper).translations(["I love {x}."])
        assert found.plain is not None
        assert found.plain.source == expected.source
        assert found.text.count("{x}") == 1


def test_the_guided_head_aligns_unless_a_setting_is_stored(
    translator: LineTranslator, tiny_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("checkpoints", "corpus", "snapshots"))
    assert Linker(translator, run).choice == MapChoice()
    config = run / "config.toml"
    config.write_text(config.read_text("utf-8").replace('train_align = ""', 'train_align = "links"'), "utf-8")
    assert Linker(translator, run).choice == MapChoice(1, 0)


def test_python_keeps_markup(tiny_run: Path) -> None:
    t = Translator.load(tiny_run, "cpu")
    assert t.translate(LINES[0], keep="markup").count("<b>") == 1
    found = t.attention(LINES[0], keep="markup")
    assert "<" not in found.translation
    with pytest.raises(UserError, match=r'keep="mark-up": unknown; did you mean markup\?'):
        t.translate(LINES[0], keep="mark-up")


def test_models_without_attention_keep_no_markup(no_attention_run: Path) -> None:
    with pytest.raises(UserError, match="no attention"):
        keep_markup(load_translator(no_attention_run, "cpu"), no_attention_run)


@pytest.mark.parametrize("value", ["markup", None])
def test_known_values(value: str | None) -> None:
    assert keeps_markup(value) == bool(value)
