"""The languages of a run: given, or taken from the endings of its files."""

from __future__ import annotations

import pytest

from translate.config.languages import language_name, language_of_file
from translate.config.settings import Config
from translate.config.toml import differences, is_frozen, load_config
from translate.errors import UserError


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("data/train.en", "en"),
        ("train.zh-Hant.gz", "zh-Hant"),
        ("train.fr.zst", "fr"),
        ("train.deu", "deu"),
        ("train.txt", ""),
        ("train.src", ""),
        ("train.tsv", ""),
        ("en", ""),
    ],
)
def test_an_ending_is_a_language_only_if_it_is_known(path: str, code: str) -> None:
    assert language_of_file(path) == code


def test_names_are_english_and_unknown_codes_name_themselves() -> None:
    assert [language_name(code) for code in ("de", "eng", "zh-Hant", "xyz")] == [
        "German",
        "English",
        "Chinese (Hant)",
        "xyz",
    ]


def test_a_run_takes_its_languages_from_its_files_unless_they_are_given() -> None:
    files = {"data.train_src": "a.en", "data.train_tgt": "a.fr"}
    assert load_config(None, files).data.languages == ("en", "fr")
    assert load_config(None, files | {"data.tgt_lang": "fr-CA"}).data.languages == ("en", "fr-CA")
    assert load_config(None, files | {"data.reverse": True}).data.languages == ("fr", "en")
    assert Config().data.languages == ("", "")


def test_a_resumed_run_may_change_its_languages() -> None:
    old, new = (load_config(None, {"data.src_lang": code}) for code in ("en", "en-GB"))
    assert not any(map(is_frozen, differences(old, new)))


def test_a_name_in_place_of_a_code_is_refused() -> None:
    with pytest.raises(UserError, match=r'data\.src_lang = "English": not a language code; write one such as en'):
        load_config(None, {"data.src_lang": "English"})
