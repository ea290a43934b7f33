"""Every setting, at both ends of its range, either trains, decodes and resumes, or is refused in one line beforehand.

The cases come from the settings themselves, so a new setting is tested without a change here.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types
import pytest
from pydantic.fields import FieldInfo

from tests.helpers.runs import CPU
from translate import cli
from translate.api import load_translator
from translate.config.limits import MAX_BEAM
from translate.config.model_settings import ModelSettings, uses
from translate.config.settings import Config, DecodeSettings
from translate.config.toml import changed_search, load_config, setting_names
from translate.decoding.engine import batch_budget
from translate.decoding.results import DecodeRequest
from translate.errors import UserError
from translate.run.folder import Run
from translate.system.distributed import joined
from translate.training.checkpoint import Progress
from translate.training.estimate import reached_limit
from translate.training.loop import train

Settings = dict[str, object]
MEMORY = 2**27  # bytes of the machine that the tests imagine
BASE = {
    "vocab.size": 290,
    "model.d_model": 8,
    "model.d_ff": 8,
    "model.num_heads": 2,
    "model.num_encoder_layers": 1,
    "model.num_decoder_layers": 1,
    "train.batch_tokens": 64,
    "train.learning_rate": 0.01,
    "train.warmup_steps": 0,
    "train.validate_sentences": 1,
    "train.snapshot_sentences": 0,
    "train.precision": "float32",
    "decode.max_length_ratio": 0.1,
}
# What a setting needs to have an effect, or to be allowed at an end of its range.
NEEDED: dict[str, dict[str, object]] = {
    "train.accumulate": {"train.batch_tokens": 2**31 - 1},
    "train.best_by": {"train.validate_every": 1},
    "train.decay_from": {"train.schedule": "cosine"},
    "train.max_minutes": {"train.schedule": "cosine", "train.max_steps": 0, "train.max_epochs": 9},
    "train.max_epochs": {"train.max_steps": 0},
    "train.rdrop_from": {"train.rdrop": 1.0},
    "train.validate_every": {"train.validate_sentences": 1},
}
LINES = ["s 1", "", "r 2"]
SAMPLED = {f"decode.{key}" for key in ("sample", "temperature", "top_k", "top_p", "seed", "max_length")}
TRIED: set[tuple[str, bool]] = set()  # what has been trained or refused: many an end of a range is the default
STRANGE = (math.nan, math.inf, -math.inf, -0.0, 10**400, "", "bogus", "\0", None, [], {}, [[]], True)


@dataclass(frozen=True)
class Range:
    """The values of a setting at the ends of its range, and the nearest values outside it."""

    ends: tuple[object, ...]
    outside: tuple[object, ...] = ()


def field_of(name: str) -> FieldInfo:
    section, _, key = name.partition(".")
    return type(getattr(Config(), section)).model_fields[key]


def range_of(name: str) -> Range:
    """Return the range of a setting from its type and limits."""
    field = field_of(name)
    kind: Any = field.annotation
    if get_origin(kind) is Literal:
        return Range(get_args(kind), ("bogus",))
    if get_origin(kind) is tuple:
        return Range(((), get_args(get_args(kind)[0])), (("bogus",),))
    if kind is bool:
        return Range((False, True), (2,))
    if kind is str:
        return Range(("",), (3,))
    if kind == int | str:  # a column
        return Range((1, 2**31 - 1, "en"), (0, 2**31, "", "2"))
    if kind == str | tuple[str, ...]:  # files
        return Range(("",), (3, [], ["a", ""]))
    limits = {type(limit): limit for limit in field.metadata}
    (least, is_open), (most, is_open_above) = _lower(limits), _upper(limits)
    if kind is int:
        low, high = least + is_open, most - is_open_above
        return Range((low, high), (low - 1, high + 1))
    low = math.nextafter(least, math.inf) if is_open else least
    high = math.nextafter(most, -math.inf) if is_open_above else most
    return Range((low, high), (math.nextafter(low, -math.inf), math.nextafter(high, math.inf)))


def _lower(limits: dict[type, Any]) -> tuple[Any, bool]:
    is_open = annotated_types.Gt in limits
    return (limits[annotated_types.Gt].gt if is_open else limits[annotated_types.Ge].ge), is_open


def _upper(limits: dict[type, Any]) -> tuple[Any, bool]:
    is_open = annotated_types.Lt in limits
    return (limits[annotated_types.Lt].lt if is_open else limits[annotated_types.Le].le), is_open


CASES = [(name, value) for name in setting_names() for value in range_of(name).ends]
OF_OTHER_ARCHITECTURES = [
    (architecture, f"model.{key}", value)
    for architecture in ("recurrent", "decoder-only")
    for key in ModelSettings.model_fields
    if key != "architecture" and uses(architecture, key)
    for value in range_of(f"model.{key}").ends
    if "layers" not in key or value == 1  # a hundred layers take seconds
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a tiny model and corpus."""
    folder = tmp_path_factory.mktemp("corpus")
    for side in "src", "tgt":
        (folder / f"train.{side}").write_text("".join(f"{side[i % 3]} {i % 7}\n" for i in range(40)))
        (folder / f"valid.{side}").write_text(f"{side[0]} 1\n{side[1]} 2\n")
    return BASE | {f"data.{part}_{side}": str(folder / f"{part}.{side}")
                   for part in ("train", "valid") for side in ("src", "tgt")}  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, base: Settings) -> Run:
    """A run whose translations end, with the vocabulary and encoded corpus that other runs copy."""
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 60)
        return trained(tmp_path_factory.mktemp("runs") / "base", load_config(None, base))


@pytest.fixture(autouse=True)
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imagine a machine of little memory, on which huge models are refused; save the time of compilation and timing."""
    monkeypatch.setattr("translate.run.model.main_memory", lambda: MEMORY)
    monkeypatch.setattr("translate.training.estimate.MAX_EXTRA", 0.1)
    monkeypatch.setattr("torch.compile", lambda function, dynamic: function)


def stop_after(patch: pytest.MonkeyPatch, num_steps: int) -> None:
    """End training after this many steps, without a setting that would change what is tested."""

    def reached(progress: Progress, settings: Any) -> str | None:
        return f"{num_steps} steps" if progress.step >= num_steps else reached_limit(progress, settings)

    patch.setattr("translate.training.loop.reached_limit", reached)


def trained(path: Path, config: Config, like: Run | None = None) -> Run:
    """Train in a new folder. like: run with the same vocabulary and corpus."""
    run = Run.create(path, config)
    if like:
        shutil.copytree(like.corpus_path, run.corpus_path)
        run.write_vocabs(like.load_vocabs())
    train(run, config, CPU)
    return run


def refusal(values: Settings) -> str:
    """Return why the settings are refused, or nothing."""
    try:
        load_config(None, values)
        return ""
    except UserError as error:
        return str(error)


def check_refusal(message: str) -> None:
    """A refusal is one line that a person can read."""
    assert "\n" not in message
    assert 10 < len(message) < 500


def is_search(name: str) -> bool:
    """Whether a setting concerns only decoding."""
    return name.startswith("decode.")


@pytest.mark.parametrize(("name", "value"), [case for case in CASES if not is_search(case[0])], ids=str)
def test_each_end_of_a_range_trains_decodes_and_resumes_or_is_refused_beforehand(
    name: str, value: object, base: Settings, prepared: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    like = None if name.startswith(("data.", "vocab.")) else prepared
    check_trains_or_is_refused(base | NEEDED.get(name, {}) | {name: value}, like, tmp_path / "run", monkeypatch)


@pytest.mark.parametrize(("architecture", "name", "value"), OF_OTHER_ARCHITECTURES, ids=str)
def test_each_end_of_a_range_works_or_is_refused_with_the_other_architectures(
    architecture: str,
    name: str,
    value: object,
    base: Settings,
    prepared: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used = {key: each for key, each in base.items() if uses(architecture, key.removeprefix("model."))}
    values = used | {"model.architecture": architecture, name: value}
    check_trains_or_is_refused(values, prepared, tmp_path / "run", monkeypatch)


def check_trains_or_is_refused(values: Settings, like: Run | None, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train, decode and resume a few steps, or check that the refusal comes before the first step."""
    stop_after(monkeypatch, 2)
    try:
        config = load_config(None, values)
        if (tried := (config.model_dump_json(), like is None)) in TRIED:
            return
        TRIED.add(tried)
        trained(path, config, like)
    except UserError as error:
        check_refusal(str(error))
        assert not (path / "metrics.jsonl").exists(), "refused only after the first step"
        return
    assert len(load_translator(path, "cpu").translate(LINES)) == len(LINES)
    stop_after(monkeypatch, 3)
    run, resumed = Run(path), load_config(path / "config.toml")
    train(Run.resume(path, resumed), resumed, CPU)
    losses = [line[name] for line in run.metrics() for name in ("train_loss", "valid_loss") if name in line]
    assert all(map(math.isfinite, losses))
    assert max(line["step"] for line in run.metrics()) == min(3, resumed.train.max_steps or 3)


@pytest.mark.parametrize("engine", ["torch", "ctranslate2"])
@pytest.mark.parametrize(("name", "value"), [case for case in CASES if is_search(case[0])], ids=str)
def test_each_end_of_a_range_of_the_search_settings_decodes_or_is_refused_beforehand(
    name: str, value: object, engine: str, prepared: Run
) -> None:
    translator = load_translator(prepared.path, "cpu", engine)
    key = name.partition(".")[2]
    for is_sampled in (False, True) if name in SAMPLED or value == range_of(name).ends[0] else (False,):
        settings = changed_search(translator.settings, {"sample": is_sampled, key: value})
        num_best = 3 if is_sampled else min(3, settings.beam_size)
        try:
            found = [*translator.translations(LINES, settings, DecodeRequest(num_best, details=True))]
        except UserError as error:
            check_refusal(str(error))
            assert engine == "ctranslate2", "each setting is supported by the torch engine"
            continue
        assert [each.source for each in found] == LINES
        assert all(math.isfinite(each.score) for line in found for each in line.translations)


@pytest.mark.parametrize("name", setting_names())
def test_values_outside_a_range_and_strange_values_are_refused_in_one_line(name: str, base: Settings) -> None:
    for value in (*range_of(name).outside, *STRANGE):
        if message := refusal(base | {name: value}):
            check_refusal(message)
            assert name in message or name.partition(".")[2] in message
        else:
            assert value not in range_of(name).outside


OPTIONS = ("beam_size", "length_penalty", "coverage_penalty", "no_repeat_ngram", "min_length", "max_length",
           "temperature", "top_k", "top_p", "seed")  # fmt: skip


@pytest.mark.parametrize("key", OPTIONS)
def test_options_have_the_ranges_of_their_settings_and_are_checked_before_anything_is_loaded(
    key: str, prepared: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("translate.commands.decode_io.load_translator", lambda *_: pytest.fail("loaded a model"))
    option = f"--{key.replace('_', '-')}"
    for value in range_of(f"decode.{key}").outside:
        assert cli._run(["decode", str(prepared.path), "s 1", option, str(value)]) == 2
        assert capsys.readouterr().err.startswith(f"error: {option} {value}: should be ")


def test_the_number_of_translations_is_limited_like_the_beam(prepared: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for value in 0, MAX_BEAM + 1:
        assert cli._run(["decode", str(prepared.path), "s 1", "--sample", "--n-best", str(value)]) == 2
        assert capsys.readouterr().err == f"error: --n-best {value}: should be from 1 to 1,000\n"


def test_a_batch_that_cannot_fit_in_memory_is_refused_before_training(
    base: Settings, prepared: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("translate.run.model.main_memory", lambda: 90_000)  # enough for the weights
    config = load_config(None, base | {"train.batch_tokens": 2**31 - 1})
    with pytest.raises(UserError, match=r"^a step of \d+ target pieces needs .* lower train\.batch_tokens"):
        trained(tmp_path / "run", config, prepared)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_large_beams_get_smaller_batches() -> None:
    assert batch_budget(DecodeSettings(), num_best=5) == DecodeSettings().batch_tokens
    assert batch_budget(DecodeSettings(beam_size=MAX_BEAM), num_best=1) == 4096 * 16 // MAX_BEAM
    assert batch_budget(DecodeSettings(sample=True), num_best=32) == 2048


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT"])
def test_a_launcher_variable_that_is_not_a_number_is_refused_in_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    for key, value in (usual | {name: "abc"}).items():
        monkeypatch.setenv(key, value)
    with pytest.raises(UserError, match=f"^{name}=abc: not a number"), joined(""):
        pass


def test_an_unknown_matplotlib_backend_is_ignored(tmp_path: Path) -> None:
    lines = "from pathlib import Path", "from translate.report.curves import save_curves"
    program = "\n".join((*lines, f"save_curves([], Path('{tmp_path}/c.png'))"))
    subprocess.run([sys.executable, "-c", program], env=os.environ | {"MPLBACKEND": "bogus"}, check=True, timeout=60)
    assert (tmp_path / "c.png").exists()
