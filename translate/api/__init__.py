"""The Python interface: `load_translator` for commands and the server; `Translator` and `Attention` for people.

Each is imported when it is first used, because a command that only translates needs none of the others' packages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translate.api.attention import Attention
    from translate.api.loading import load_translator
    from translate.api.translator import Translator

__all__ = ["Attention", "Translator", "load_translator"]


def __getattr__(name: str) -> object:
    if name == "Attention":
        from translate.api.attention import Attention

        return Attention
    if name == "Translator":
        from translate.api.translator import Translator

        return Translator
    if name == "load_translator":
        from translate.api.loading import load_translator

        return load_translator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
