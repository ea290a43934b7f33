"""Read settings from TOML files and the command line, and write them as TOML."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from shlex import quote
from typing import Any, get_args

from pydantic import ValidationError

from translate.config.faults import fault
from translate.config.files import has_both_sides
from translate.config.limits import FilterName
from translate.config.model_settings import uses
from translate.config.nearest import nearest, nearest_settings
from translate.config.settings import Config, DecodeSettings
from translate.errors import UserError
from translate.system.files import open_regular
from translate.system.terminal_text import print_message, spelled_out

FROZEN_IN_TRAINING = tuple(
    f"train.{name}" for name in ("init_from", "seed", "batch_tokens", "accumulate", "optimizer", "adam_beta2")
)
MAX_BYTES = 2**18  # maximum size of a settings file, in bytes
MAX_LINE_BYTES = 10_000  # tomllib needs quadratic time in the number of parts of a dotted key
MAX_SHOWN = 80  # maximum length of an invalid value quoted in a message
PATH_KEYS = {
    "data": ("train_src", "train_tgt", "valid_src", "valid_tgt", "train_align"),
    "vocab": ("model",),
    "train": ("init_from",),
}
NOT_UTF8 = re.compile("[\udc80-\udcff]")  # bytes of paths that are not UTF-8, as Python represents them
STORED_BYTE = re.compile("\0([89a-f][0-9a-f])")
NUMBER = re.compile(r"[+-]?(\.\d+|\d+\.)(e[+-]?\d+)?", re.IGNORECASE)  # which TOML does not have
RENAMED = {"train.probe_sentences": "train.snapshot_sentences"}  # old names, which are still accepted


def load_config(
    path: Path | None, overrides: Mapping[str, object] | None = None, inherited: Mapping[str, object] | None = None
) -> Config:
    """Read the settings from a TOML file, if given, and apply the overrides, keyed by `section.key`.

    Paths in the file are resolved against its folder, and paths in the overrides against the working directory.
    inherited: values by `section.key` that replace the defaults. Raises UserError with one line per error. Each line
    names the file and the setting.
    """
    tables, sources = _given(path, overrides or {})
    for name, value in (inherited or {}).items():
        section, _, key = name.partition(".")
        if isinstance(table := tables.setdefault(section, {}), dict):
            table.setdefault(key, value)
    return _checked(tables, path, sources)


def check_values(overrides: Mapping[str, object]) -> None:
    """Raise UserError if a name is unknown or a value is invalid by itself, whatever the other settings are."""
    tables, sources = _given(None, overrides)
    try:
        Config.model_validate(tables)
    except ValidationError as error:
        # Settings that contradict each other are a mistake of their section.
        mistakes = [each for each in error.errors() if each["type"] != "value_error" or len(each["loc"]) > 1]
        if lines := _explained(mistakes, None, sources):
            raise UserError(*lines) from None


def given_setting(path: Path | None, overrides: Mapping[str, object], name: str) -> object:
    """Return the unvalidated value of a setting from the overrides or the file, or None if neither sets it."""
    section, _, key = name.partition(".")
    table = _given(path, overrides)[0].get(section)
    return table.get(key) if isinstance(table, dict) else None


def changed_search(settings: DecodeSettings, changes: Mapping[str, object]) -> DecodeSettings:
    """Apply the changes that are not None, named like their options, to the settings.

    Raises UserError with one line per error, whether the value comes from the changes or from the settings.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return DecodeSettings.model_validate(settings.model_dump() | given)
    except ValidationError as error:
        lines = []
        for mistake in error.errors():
            name = "".join(map(str, mistake["loc"]))
            place = f"--{name.replace('_', '-')} " if name in given else f"decode.{name} = "
            lines.append(f"{place}{_fault(mistake)}" if name else f"[decode] {mistake['ctx']['error']}")
        raise UserError(*lines) from None


def parse_override(text: str) -> tuple[str, object]:
    """Parse `SECTION.KEY=VALUE` into a name and a value. A value that is neither TOML nor a number is a string."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set {text}: use --set SECTION.KEY=VALUE, for example --set train.max_steps=1000")
    try:
        if NUMBER.fullmatch(value):
            return name.strip(), float(value)
        table = tomllib.loads(f"value = {value}")
        return name.strip(), table["value"] if len(table) == 1 else value  # more than one if text has a line break
    except (ValueError, RecursionError):
        return name.strip(), value


def to_toml(config: Config) -> str:
    """Format all settings that the architecture uses as TOML, with their descriptions as comments.

    A byte of a path that is not UTF-8 is written as NUL, which no path contains, and two hexadecimal digits.
    """
    lines = []
    for section, settings in config:
        lines.append(f"[{section}]")
        for key, field in type(settings).model_fields.items():
            if section == "model" and not uses(config.model.architecture, key):
                continue
            value = json.dumps(getattr(settings, key), ensure_ascii=False).replace("\x7f", "\\u007f")
            value = NOT_UTF8.sub(lambda found: f"\\u0000{ord(found[0]) - 0xDC00:02x}", value)
            lines.append(f"{key} = {value}  # {field.description}")
        lines.append("")
    return "\n".join(lines)


def differences(before: Config, now: Config) -> dict[str, str]:
    """Return a description of each setting that differs, keyed by name."""
    values = zip(values_by_name(before).items(), values_by_name(now).values(), strict=True)
    return {name: f"{name} = {json.dumps(old)} (now {json.dumps(new)})" for (name, old), new in values if old != new}


def is_frozen(name: str) -> bool:
    """Whether a run must keep this setting because its data, architecture or batch order depends on it."""
    section, _, key = name.partition(".")
    if section == "data":  # the files may move: only their content is compared
        return key not in (*PATH_KEYS["data"], "src_lang", "tgt_lang")
    return section in ("vocab", "model") or name in FROZEN_IN_TRAINING


def setting_names() -> list[str]:
    """Return the names of all settings as `section.key`."""
    return list(values_by_name(Config()))


def values_by_name(config: Config) -> dict[str, object]:
    """Return the values of all settings, keyed by `section.key`."""
    return {f"{section}.{key}": value for section, settings in config for key, value in settings}


def _given(path: Path | None, overrides: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the file, if any, and apply the overrides. Returns the tables, and the source of each overridden name."""
    tables = _read_toml(path) if path else {}
    both = f"{path} and command line" if path else "command line"
    sources = {"": both} if overrides else {}  # "": of mistakes that concern several sections
    if path:
        _make_absolute(tables, path.parent)
    for name, value in overrides.items():
        section, dot, key = name.partition(".")
        if not (section and dot and key):
            meant = nearest_settings(f".{name}", setting_names()) or ["train.max_steps"]
            raise UserError(f"{name}: not a setting; write SECTION.KEY, such as {meant[0]}")
        override = {section: {key: value}}
        _make_absolute(override, Path.cwd())
        if isinstance(table := tables.setdefault(section, {}), dict):  # validation rejects anything else
            sources |= {name: "command line", section: both if table else "command line"}
            table |= override[section]
    for old, new in RENAMED.items():
        section, _, key = old.partition(".")
        values, new_key = tables.get(section), new.partition(".")[2]
        if isinstance(values, dict) and key in values and (new_key not in values or {old, new} & overrides.keys()):
            value = values.pop(key)
            values[new_key] = values[new_key] if new in overrides else value
            sources |= {new: sources[old]} if old in sources else {}
            _note_once(f"note: {sources.get(old, path)}: {old} is now called {new}")
    return tables, sources


@cache
def _note_once(notice: str) -> None:
    print_message(notice)


def _checked(values: Mapping[str, Any], path: Path | None, sources: Mapping[str, str]) -> Config:
    """Validate values as settings. Raises UserError with one line per error."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise UserError(*_explained(error.errors(), path, sources)) from None


def _explained(mistakes: Sequence[Any], path: Path | None, sources: Mapping[str, str]) -> list[str]:
    return [spelled_out(_explain(mistake, path, sources), "\n") for mistake in mistakes]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with open_regular(path) as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES // 1024:,} kB; is this a settings file?")
        for number, line in enumerate(content.split(b"\n"), start=1):
            if len(line) > MAX_LINE_BYTES:
                raise UserError(
                    f"{path}: line {number} is longer than {MAX_LINE_BYTES:,} bytes; is this a settings file?"
                )
        return tomllib.loads(content.decode("utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such settings file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8 text") from None
    except IsADirectoryError:
        raise UserError(f"{path}: this is a folder; pass a settings file") from None
    except (ValueError, RecursionError) as error:
        target = "" if has_both_sides(path.name) else " --tgt FILE"
        texts = f"; to train on this text, write --src {quote(str(path))}{target}" if path.suffix != ".toml" else ""
        raise UserError(f"{path}: not valid TOML: {error}{texts}") from None


def _make_absolute(tables: dict[str, Any], folder: Path) -> None:
    for section, keys in PATH_KEYS.items():
        table = tables.get(section)
        for key in keys:
            if not isinstance(table, dict):
                continue
            if isinstance(value := table.get(key), list | tuple):
                table[key] = [_absolute(each, folder, f"{section}.{key}") for each in value]
            elif key in table:
                table[key] = _absolute(value, folder, f"{section}.{key}")


def _absolute(value: object, folder: Path, name: str) -> object:
    """Return a path as an absolute one; anything else, which validation rejects, as it is."""
    if not isinstance(value, str) or not value:
        return value
    try:
        value = STORED_BYTE.sub(lambda found: chr(0xDC00 + int(found[1], 16)), value)
        file = folder / Path(value).expanduser()
        os.fsencode(file)
        # The path of a process substitution, <(command), must not be resolved.
        return str(file if file.is_fifo() else file.resolve())
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{name} = {value!r}: not a usable path: {error}") from None


def _explain(mistake: Any, path: Path | None, sources: Mapping[str, str]) -> str:
    name = ".".join(str(part) for part in mistake["loc"])
    where = sources.get(name) or (str(path) if path else "command line")
    if mistake["type"] == "extra_forbidden":
        return f"{where}: {_unknown(name, mistake['input'])}"
    if mistake["type"] == "value_error":
        place = f"{name} = {_shown(mistake['input'])}: " if "." in name else f"[{name}] " if name else ""
        return f"{where}: {place}{mistake['ctx']['error']}"
    if mistake["type"] == "model_type":
        return f"{where}: {name}: this is a section; write [{name}] and its settings below it"
    if name.startswith("data.filter"):
        return f"{sources.get('data.filter', where)}: {_explain_filter(mistake)}"
    return f"{where}: {name} = {_fault(mistake)}"


def _fault(mistake: Any) -> str:
    """Return an invalid value and what it should be."""
    return f"{_shown(mistake['input'])}: {fault(mistake)}"


def _explain_filter(mistake: Any) -> str:
    known, given = get_args(FilterName), mistake["input"]
    if mistake["type"] != "literal_error":
        return f'data.filter = {_shown(given)}: should be a list of names, such as ["identical"]'
    meant = nearest(str(given), known)
    hint = f"did you mean {meant}?" if meant else f"the filters are {', '.join(known)}"
    return f"data.filter: {_shown(given)} is not a filter; {hint}"


def _shown(value: object) -> str:
    """Format a value as in TOML, truncated to MAX_SHOWN characters."""
    try:
        text = json.dumps(value, default=str)
    except (ValueError, RecursionError):  # a number with thousands of digits, or deeply nested tables
        return f"({type(value).__name__})"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} …"


def _unknown(name: str, content: object) -> str:
    """Return a message that a setting is unknown, with those that may be meant, or else those that there are."""
    sections = sorted(Config.model_fields)
    known = f"the sections are {', '.join(sections)}"
    if "." not in name and isinstance(content, dict):
        if len(content) != 1:
            meant = nearest(name, sections)
            return f"{name}: unknown section; " + (f"did you mean [{meant}]?" if meant else known)
        name += f".{next(iter(content))}"
    if suggestions := nearest_settings(name, setting_names()):
        return f"{name}: unknown setting; did you mean {' or '.join(suggestions)}?"
    section = getattr(Config(), name.partition(".")[0], None)
    keys = f"[{name.partition('.')[0]}] has {', '.join(type(section).model_fields)}" if section else known
    return f"{name}: unknown setting; {keys}"
