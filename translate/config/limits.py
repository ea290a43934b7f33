"""What settings are made of: numbers with their limits, names to choose from, and tables."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from translate.config.languages import is_language

LARGEST = 2**31 - 1
Count = Annotated[int, Field(gt=0, le=LARGEST)]
Limit = Annotated[int, Field(ge=0, le=LARGEST)]
Width = Annotated[int, Field(gt=0, le=2**20)]
Share = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=100)]
Ratio = Annotated[float, Field(ge=0.001, le=100)]
MAX_BEAM = 1000
SHORTEST = 1e-6  # minutes
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


def _files(value: Any) -> Any:
    """Return one name as a string and several as a tuple."""
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else ()
    if not names or not all(isinstance(name, str) for name in names) or ("" in names and len(names) > 1):
        raise PydanticCustomError("files", "should be the name of a file, or a list of such names")
    return names[0] if len(names) == 1 else names


def _column(value: Any) -> Any:
    is_number = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST
    if not is_number and not (isinstance(value, str) and value.strip() and not value.isdecimal()):
        raise PydanticCustomError("column", 'should be a number from 1, or a name such as "en"')
    return value


def _time(minutes: float) -> float:
    if 0 < minutes < SHORTEST:  # arithmetic would round a far shorter time to 0, which is no limit
        raise ValueError(f"should be 0, for no limit, or at least {SHORTEST:g}")
    return minutes


Minutes = Annotated[float, Field(ge=0, le=10_000_000), AfterValidator(_time)]  # at most 19 years
Files = Annotated[str | tuple[str, ...], BeforeValidator(_files)]
Column = Annotated[int | str, BeforeValidator(_column)]  # its number from 1, or its name; or the code of a language
Header = Literal["auto", "yes", "no"]
LanguageCode = Annotated[str, AfterValidator(_checked_code)]  # "" for an unknown language


class Section(BaseModel):
    """Base class for tables of settings, which reject unknown names and wrong types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())
