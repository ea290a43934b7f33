"""The files of the engine, which share one scope."""

from __future__ import annotations

import re
from collections import Counter
from importlib.resources import files

from translate.report.page.engine_code import ENGINE, engine_code

DECLARED = re.compile(r"^(?:async )?(?:function\*?|class|const|let) (\w+|[\[{][^=]*)", re.MULTILINE)


def test_no_two_files_declare_the_same_name() -> None:
    """JavaScript refuses a second constant, but a second function silently replaces the first."""
    names = [name for found in DECLARED.findall(engine_code()) for name in re.findall(r"\w+", found)]
    assert "Transformer" in names
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_the_engine_has_all_files_of_its_folder_but_the_one_that_starts_it() -> None:
    folder = files("translate.report.page").joinpath("engine")
    assert {each.name for each in folder.iterdir()} - {"worker.js"} == set(ENGINE)
