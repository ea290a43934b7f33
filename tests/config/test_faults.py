"""No value of any setting brings pydantic's words into a message."""

from __future__ import annotations

import re

import pytest

from translate.config.toml import load_config, setting_names
from translate.errors import UserError

WORDS = r"Value error|[Ii]nput should|valid (integer|number|string|boolean|tuple)|unable to|pydantic|got a"
NUMBERS = (float("nan"), float("inf"), -1, 2.5, 10**400)
STRANGE = (*NUMBERS, "", "bogus", "é" * 50, None, [], ["x"], [3], {}, {"a": 1}, True, b"x")


def complaint(name: str, value: object) -> str:
    try:
        load_config(None, {name: value})
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", setting_names())
def test_faults_are_in_our_words(name: str) -> None:
    for said in (complaint(name, value) for value in STRANGE):
        assert not re.search(WORDS, said), said
        assert "\n" not in said
