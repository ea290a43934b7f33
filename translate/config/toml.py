"""Settings from TOML files and the command line, and back to TOML."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from translate.config.settings import Config, DecodeSettings, FilterName
from translate.errors import UserError
from translate.system.terminal_text import spelled_out

FROZEN_IN_TRAINING = ("train.init_from", "train.seed", "train.batch_tokens", "train.accumulate", "train.adam_beta2")
MAX_BYTES = 2**18  # of a settings file
MAX_LINE_BYTES = 10_000  # of its lines; tomllib takes the square of the time for a key of twice as many parts
MAX_SHOWN = 80  # characters of a wrong value
WEIGHT_OF_SECTION = 0.25  # beside the key, when a name is compared
ALIKE = 0.66  # from which on a name is taken for a mistyped one; 1 is equal
PATH_KEYS = {
    "data": ("train_src", "train_tgt", "valid_src", "valid_tgt", "train_align"),
    "vocab": ("model",),
    "train": ("init_from",),
}


def load_config(
    path: Path | None,
    overrides: Mapping[str, object] | None = None,
    inherited: Mapping[str, object] | None = None,
) -> Config:
    """The settings of a TOML file, or the defaults, with `section.key` overrides on top.

    Paths in the file are relative to the file, paths among the overrides to the working folder; both come back
    absolute. inherited: what holds instead of the default, by `section.key`. Raises UserError naming the file and each
    setting that is wrong, a line a mistake.
    """
    tables, sources = _given(path, overrides or {})
    for name, value in (inherited or {}).items():
        section, _, key = name.partition(".")
        if isinstance(table := tables.setdefault(section, {}), dict):
            table.setdefault(key, value)
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        lines = [spelled_out(_explain(mistake, path, sources), "\n") for mistake in error.errors()]
        raise UserError("\n".join(lines)) from None


def given_setting(path: Path | None, overrides: Mapping[str, object], name: str) -> object:
    """What file or overrides say for a setting, unchecked; None where neither says anything."""
    section, _, key = name.partition(".")
    table = _given(path, overrides)[0].get(section)
    return table.get(key) if isinstance(table, dict) else None


def changed_search(settings: DecodeSettings, changes: Mapping[str, object]) -> DecodeSettings:
    """The settings but for the changes that are not None. Raises UserError for a value that is not allowed."""
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return DecodeSettings.model_validate(settings.model_dump() | given)
    except ValidationError as error:
        raise UserError("\n".join(_explain(mistake, None, {}) for mistake in error.errors())) from None


def parse_override(text: str) -> tuple[str, object]:
    """`SECTION.KEY=VALUE` -> name and value; the value is read as TOML, and as a plain string where it is none."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set {text}: write --set SECTION.KEY=VALUE, such as --set train.max_steps=1000")
    try:
        table = tomllib.loads(f"value = {value}")
        return name.strip(), table["value"] if len(table) == 1 else value  # more than one: a line break in the text
    except (ValueError, RecursionError):
        return name.strip(), value


def to_toml(config: Config) -> str:
    """Every setting with its value and, behind it, what it means."""
    lines = []
    for section, settings in config:
        lines.append(f"[{section}]")
        for key, field in type(settings).model_fields.items():
            value = json.dumps(getattr(settings, key), ensure_ascii=False).replace("\x7f", "\\u007f")
            lines.append(f"{key} = {value}  # {field.description}")
        lines.append("")
    return "\n".join(lines)


def differences(before: Config, now: Config) -> dict[str, str]:
    """The settings that differ, by name, and how, in words."""
    changed = {}
    for name in setting_names():
        section, _, key = name.partition(".")
        old, new = (getattr(getattr(config, section), key) for config in (before, now))
        if old != new:
            changed[name] = f"{name} = {json.dumps(old)} (now {json.dumps(new)})"
    return changed


def is_frozen(name: str) -> bool:
    """Whether a run has to keep this setting: its data, its shape or the order of its batches follow from it."""
    section, _, key = name.partition(".")
    if section == "data":
        return key not in PATH_KEYS["data"]  # the text may move; that it is the same is checked by its content
    return section in ("vocab", "model") or name in FROZEN_IN_TRAINING


def setting_names() -> list[str]:
    """All settings as `section.key`."""
    return [f"{section}.{key}" for section, settings in Config() for key in type(settings).model_fields]


def _given(path: Path | None, overrides: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, str]]:
    """The tables of a file with the overrides on top, and where names that are not from the file are from."""
    tables = _read_toml(path) if path else {}
    sources: dict[str, str] = {}
    if path:
        _make_absolute(tables, path.parent)
    for name, value in overrides.items():
        section, dot, key = name.partition(".")
        if not (section and dot and key):
            raise UserError(f"{name}: a setting is named SECTION.KEY, such as train.max_steps")
        table = {section: {key: value}}
        _make_absolute(table, Path.cwd())
        if not isinstance(tables.setdefault(section, {}), dict):
            raise UserError(f"{path}: {section}: this is a section; write [{section}] and its settings below")
        tables[section].update(table[section])
        sources |= {name: "command line", section: "command line"}
    return tables, sources


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES // 1024:,} kB; a settings file is a few lines of TOML")
        for number, line in enumerate(content.split(b"\n"), start=1):
            if len(line) > MAX_LINE_BYTES:
                raise UserError(
                    f"{path}: line {number} is longer than {MAX_LINE_BYTES:,} bytes; a settings file is a few lines "
                    "of TOML"
                )
        return tomllib.loads(content.decode("utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such settings file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start}); a settings file is UTF-8 text") from None
    except IsADirectoryError:
        raise UserError(f"{path}: this is a folder; give a settings file") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None


def _make_absolute(tables: dict[str, Any], folder: Path) -> None:
    for section, keys in PATH_KEYS.items():
        table = tables.get(section)
        if not isinstance(table, dict):
            continue
        for key in keys:
            if isinstance(value := table.get(key), str) and value:
                try:
                    place = folder / Path(value).expanduser()
                    # A shell's <(command) has a name that leads to none.
                    table[key] = str(place if place.is_fifo() else place.resolve())
                    table[key].encode()  # a name that is not UTF-8 could not be written to the run's config.toml
                except (ValueError, RuntimeError) as error:
                    raise UserError(f"{section}.{key} = {value!r}: not a usable path: {error}") from None


def _explain(mistake: Any, path: Path | None, sources: Mapping[str, str]) -> str:
    name = ".".join(str(part) for part in mistake["loc"])
    where = sources.get(name) or (str(path) if path else "command line")
    if mistake["type"] == "extra_forbidden":
        return f"{where}: {_unknown(name, mistake['input'])}"
    if mistake["type"] == "value_error":
        return f"{where}: {f'[{name}] ' if name else ''}{mistake['ctx']['error']}"
    if mistake["type"] == "model_type":
        return f"{where}: {name}: this is a section; write [{name}] and its settings below"
    if name.startswith("data.filter"):
        return f"{sources.get('data.filter', where)}: {_explain_filter(mistake)}"
    reason = mistake["msg"].replace("Input should be", "should be")
    return f"{where}: {name} = {_shown(mistake['input'])}: {reason[0].lower()}{reason[1:]}"


def _explain_filter(mistake: Any) -> str:
    known, given = get_args(FilterName), mistake["input"]
    if mistake["type"] != "literal_error":
        return f'data.filter = {_shown(given)}: should be a list of names, such as ["identical"]'
    nearest = difflib.get_close_matches(str(given), known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(known)}"
    return f"data.filter: {_shown(given)} is no filter; {hint}"


def _shown(value: object) -> str:
    """A value as in TOML, or its beginning."""
    try:
        text = json.dumps(value, default=str)
    except (ValueError, RecursionError):  # a number of thousands of digits, tables in tables in tables
        return f"({type(value).__name__})"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} …"


def _unknown(name: str, content: object) -> str:
    """What is said of a name that is no setting: with one that was meant, where one is near."""
    sections = list(Config.model_fields)
    if "." not in name and isinstance(content, dict):
        if len(content) != 1:
            near = difflib.get_close_matches(name.lower(), sections, n=1)
            return f"{name}: unknown section; " + (f"did you mean [{near[0]}]?" if near else _list_of(sections))
        name += f".{next(iter(content))}"
    meant = _nearest(name)
    return f"{name}: unknown setting; " + (f"did you mean {meant}?" if meant else _list_of(sections))


def _list_of(sections: Iterable[str]) -> str:
    return f"the sections are {', '.join(sorted(sections))}"


def _nearest(name: str) -> str | None:
    """The setting whose key is most like this one's; among such, that whose section is, too. None where none is.

    All settings of that very key, where the section is like none of theirs.
    """
    section, _, key = name.lower().replace("-", "_").rpartition(".")

    def likeness(known: str) -> tuple[float, float]:
        known_section, _, known_key = known.partition(".")
        in_key, in_section = _ratio(key, known_key), _ratio(section, known_section)
        return in_key + WEIGHT_OF_SECTION * in_section, max(in_key, _ratio(f"{section}.{key}", known))

    alike = [known for known in setting_names() if known.partition(".")[2] == key]
    if alike and all(_ratio(section, known.partition(".")[0]) < ALIKE for known in alike):
        return " or ".join(alike)
    best = max(setting_names(), key=likeness)
    return best if likeness(best)[1] >= ALIKE else None


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
