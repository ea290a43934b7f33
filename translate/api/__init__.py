"""The Python interface: `load_translator` for commands and the server; `Translator` and `Attention` for people."""

from translate.api.attention import Attention
from translate.api.loading import load_translator
from translate.api.translator import Translator

__all__ = ["Attention", "Translator", "load_translator"]
