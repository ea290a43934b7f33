"""The width of text on a terminal, and the only place where anything is printed."""

from __future__ import annotations

import ast
import io
import sys
from pathlib import Path

import pytest

import translate
from translate.errors import UserError
from translate.system.terminal_text import columns_of, print_message, print_result, printable


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("Grüße", 5),
        ("Gru\u0308ße", 5),
        ("漢字かな", 8),
        ("한국", 4),
        ("😀", 2),
        ("❤\ufe0f", 2),
        ("हिन्दी", 5),
        ("می\u200cخواهم", 7),
    ],
)
def test_width_in_columns(text: str, columns: int) -> None:
    assert columns_of(text) == columns


def test_control_characters_are_not_printed() -> None:
    assert printable("a\x1b[2Jb\r\u202e") == "a�[2Jb��"
    assert printable("👩\u200d👧 می\u200cخواهم") == "👩\u200d👧 می\u200cخواهم"


PRINTING = {"print", "echo", "secho", "print_exc", "print_exception"}
STREAMS = {"stdout", "stderr", "tqdm"}


def printing_calls(path: Path) -> list[int]:
    """The lines of a module with a call that prints."""
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    names = [
        (call, call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)) for call in calls
    ]
    prints = [call for call, name in names if name in PRINTING]
    writes = [call for call, name in names if name == "write" and STREAMS & set(ast.unparse(call.func).split("."))]
    return [call.lineno for call in prints + writes]


def test_only_one_module_prints() -> None:
    package = Path(translate.__file__).parent
    found = {str(path.relative_to(package)): lines for path in package.rglob("*.py") if (lines := printing_calls(path))}
    assert found.keys() == {"system/terminal_text.py"}, "use print_result, print_message or draw"


def test_messages_are_dropped_where_standard_error_is_closed_or_full(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    for stream in None, Full():
        monkeypatch.setattr(sys, "stderr", stream)
        print_message("warning")
    print_result("a\x1b")
    assert output.getvalue() == "a\x1b\n"
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(UserError, match="standard output is closed"):
        print_result("a")
