"""What settings are made of: numbers with their limits, names to choose from, and tables."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from translate.config.languages import is_language

LARGEST = 2**31 - 1
Count = Annotated[int, Field(gt=0, le=LARGEST)]
Limit = Annotated[int, Field(ge=0, le=LARGEST)]
Width = Annotated[int, Field(gt=0, le=2**20)]
Share = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=100)]
Minutes = Annotated[float, Field(ge=0, le=10_000_000)]  # 19 years
Ratio = Annotated[float, Field(ge=0.001, le=100)]
MAX_BEAM = 1000
Layers = Annotated[int, Field(gt=0, le=100)]
NgramLength = Annotated[int, Field(ge=0, le=100)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Rule = Literal["nfc", "identity", "nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf"]
FilterName = Literal[
    "identical",
    "duplicates",
    "length_ratio",
    "language",
    "script",
    "mojibake",
    "damaged",
    "control",
    "line_breaks",
    "invisible",
]


def _checked_code(code: str) -> str:
    if code and not is_language(code):
        raise ValueError("not a language code; write one such as en, deu or zh-Hant")
    return code


LanguageCode = Annotated[str, AfterValidator(_checked_code)]  # "" for an unknown language


class Section(BaseModel):
    """Base class for tables of settings, which reject unknown names and wrong types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())
