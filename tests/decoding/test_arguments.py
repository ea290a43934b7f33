"""Arguments from Python: a string is one sentence, and an error names what is not text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from translate import load
from translate.api import load_translator
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest
from translate.errors import UserError


@pytest.mark.parametrize("wrong", [None, 3, 2.5, b"I love apples.", [None], [3], [b"x"], [["x"]], object()])
def test_what_is_not_text_is_a_type_error(translator: LineTranslator, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"^(lines should be a list|line 1 should be a string), not \w+$"):
        translator.translate(wrong)
    with pytest.raises(TypeError, match=r"^(pairs|each pair|each source) should be a (list|string), not \w+$"):
        list(translator.score(wrong if not isinstance(wrong, list) else [(wrong[0], "y")]))
    with pytest.raises(TypeError, match=r"^prefix should be a string, not \w+$"):
        DecodeRequest(prefix=wrong)


def test_lone_surrogates_are_a_value_error(translator: LineTranslator) -> None:
    with pytest.raises(ValueError, match=r"^line 2 contains a lone surrogate, '\\ud800', at index 1"):
        translator.translate(["b", "a\ud800"])
    with pytest.raises(ValueError, match=r"^each target contains a lone surrogate"):
        list(translator.score([("a", "\udcff")]))


def test_one_string_is_not_taken_for_a_list_of_letters(translator: LineTranslator, tiny_run: Path) -> None:
    wrong: Any = "pommes"
    with pytest.raises(TypeError, match=r"^lines should be a list, not str$"):
        list(translator.translations(wrong))
    with pytest.raises(TypeError, match=r"^each pair should be a list, not str$"):
        list(translator.score(["ab"]))
    with pytest.raises(ValueError, match=r"^each pair should have a source and a target, not 3 parts$"):
        list(translator.score([("a", "b", "c")]))
    with pytest.raises(TypeError, match=r"^terms should be a list, not str$"):
        DecodeRequest(terms=wrong)
    with pytest.raises(TypeError, match=r"^prefix_ids should be a list, not str$"):
        DecodeRequest(prefix_ids=wrong)
    with pytest.raises(TypeError, match=r"^each piece of prefix_ids should be an integer, not float$"):
        DecodeRequest(prefix_ids=(3, 2.0))
    with pytest.raises(UserError, match=r"^prefix and prefix_ids exclude each other; pass only one$"):
        DecodeRequest(prefix="Le", prefix_ids=(3,))
    with pytest.raises(TypeError, match=r"^ensemble should be a list, not str$"):
        load_translator(tiny_run, "cpu", ensemble=wrong)


def test_options_of_other_types_are_refused(translator: LineTranslator, tiny_run: Path) -> None:
    settings: Any = {"beam_size": 3}
    with pytest.raises(TypeError, match=r"^settings should be DecodeSettings, not dict$"):
        list(translator.translations(["x"], settings))
    wrong: Any
    for wrong in None, 3, b"run", ["run"]:
        with pytest.raises(TypeError, match=r"^run should be a path, not \w+$"):
            load(wrong)
    with pytest.raises(UserError, match=r"^--engine bogus: should be torch or ctranslate2$"):
        load_translator(tiny_run, "cpu", engine="bogus")
