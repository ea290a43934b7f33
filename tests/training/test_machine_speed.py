"""The measured speed of the machine, and the settings that depend on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.helpers.corpora import write_many_pairs
from tests.helpers.runs import CPU
from translate import cli
from translate.training import estimate
from translate.training import machine_speed as measured
from translate.training.auto_config import TextMeasures, choose_settings
from translate.training.feed import StepData
from translate.training.loss import Losses
from translate.training.machine_speed import FASTEST, SLOWEST, machine_speed, rounded
from translate.training.resolve_config import resolve_new
from translate.training.sizes import Shape

CUDA = torch.device("cuda")
TINY = Shape(layers=1, d_model=16, d_ff=16, speed=5000)
TATOEBA = TextMeasures(164_000, 30.0, 34.0, 10_000, 10.7)
MULTI30K = TextMeasures(29_000, 60.0, 65.0, 10_000, 14.0)
SMALL = TextMeasures(5000, 60.0, 65.0, 2000, 14.0)


@pytest.fixture
def measures_again() -> Iterator[None]:
    machine_speed.cache_clear()
    yield
    machine_speed.cache_clear()


def never(shape: Shape, vocab_size: int) -> float:
    raise AssertionError("measured")


def relative(ratio: float) -> Callable[[Shape, int], float]:
    """A machine that trains all shapes `ratio` times as fast as the nominal one."""
    return lambda shape, vocab_size: ratio * shape.speed


def chosen(given: dict[str, Any], measures: TextMeasures, ratio: float) -> dict[str, Any]:
    return choose_settings(given, measures, CPU, relative(ratio))


def test_speeds_are_powers_of_the_square_root_of_two_within_limits() -> None:
    assert [rounded(each) for each in (0.29, 0.31, 0.59, 0.6, 0.84, 0.85, 1.18, 1.2, 2.0)] == pytest.approx(
        [0.25, 2**-1.5, 0.5, 2**-0.5, 2**-0.5, 1.0, 1.0, 2**0.5, 2.0]
    )
    assert [rounded(each) for each in (1e-9, 1e9)] == [SLOWEST, FASTEST]


@pytest.mark.usefixtures("measures_again")
@pytest.mark.parametrize(
    ("seconds", "ratio"), [(0.2048, 1.0), (0.4096, 0.5), (0.145, 2**0.5), (1e-9, 4.0), (30.0, 0.25)]
)
def test_the_speed_is_that_of_the_fastest_step(monkeypatch: pytest.MonkeyPatch, seconds: float, ratio: float) -> None:
    """At a speed of 5,000 target pieces per second, a step of 1,024 takes 0.2048 seconds."""
    ticks = iter([0.0, 9.0, 10.0, 90.0, 100.0, 100.0 + seconds])
    monkeypatch.setattr(measured, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    monkeypatch.setattr(measured, "multiplies_bfloat16", lambda device: False)
    assert machine_speed(TINY, 300) == ratio * TINY.speed


@pytest.mark.usefixtures("measures_again")
def test_a_real_measurement_draws_no_random_numbers_and_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    state = torch.get_rng_state()
    speed = machine_speed(TINY, 300)
    assert SLOWEST <= speed / TINY.speed <= FASTEST
    assert torch.equal(torch.get_rng_state(), state)
    monkeypatch.setattr(measured, "_seconds_of", never)
    assert machine_speed(TINY, 300) == speed


@pytest.mark.usefixtures("measures_again")
@pytest.mark.parametrize(("speed", "num_pieces"), [(5000, 1024), (1900, 944), (220, 96), (1, 16)])
def test_a_step_of_a_slow_shape_is_shorter(monkeypatch: pytest.MonkeyPatch, speed: int, num_pieces: int) -> None:
    found = list[int]()

    class Recorded(measured.Gradients):
        def add(self, data: StepData, *arguments: Any) -> list[Losses]:
            found.append(data.num_tokens)
            return super().add(data, *arguments)

    monkeypatch.setattr(measured, "Gradients", Recorded)
    machine_speed(TINY._replace(speed=speed), 300)
    assert set(found) == {num_pieces}


def test_a_slower_machine_gets_a_narrower_model_and_less_dropout() -> None:
    ten, hour = {"train.max_minutes": 10.0}, {"train.max_minutes": 60.0}
    assert [chosen(ten, MULTI30K, each)["model.d_model"] for each in (0.25, 0.5, 1.0, 4.0)] == [96, 96, 128, 128]
    assert [chosen(hour, TATOEBA, each)["model.d_model"] for each in (0.25, 0.5, 1.0, 2.0)] == [128, 192, 256, 256]
    for measures in MULTI30K, SMALL:
        dropouts = [chosen(hour, measures, each)["model.dropout"] for each in (0.25, 0.5, 1.0)]
        assert dropouts == sorted(set(dropouts))
    assert chosen(ten, SMALL, 0.25)["model.d_model"] == chosen(ten, SMALL, 1.0)["model.d_model"]
    # Half the speed is half the time.
    assert chosen(ten, TATOEBA, 0.5) == chosen({"train.max_minutes": 5.0}, TATOEBA, 1.0)


def test_a_machine_that_is_good_at_wide_models_gets_one() -> None:
    def speed_of(shape: Shape, vocab_size: int) -> float:
        return shape.speed * (1.0 if shape.d_model >= 256 else 0.5)

    hour = {"train.max_minutes": 60.0}
    assert choose_settings(hour, TATOEBA, CPU, speed_of)["model.d_model"] == 256
    assert chosen(hour, TATOEBA, 0.5)["model.d_model"] == 192


def test_shapes_are_not_measured_that_no_machine_trains_in_time() -> None:
    widths = list[int]()

    def speed_of(shape: Shape, vocab_size: int) -> float:
        assert vocab_size == TATOEBA.vocab_size
        widths.append(shape.d_model)
        return shape.speed

    choose_settings({"train.max_minutes": 3.0}, TATOEBA, CPU, speed_of)
    assert widths == [128, 96]


@pytest.mark.parametrize(
    "given",
    [
        {"train.max_epochs": 3},
        {"train.max_steps": 1000},
        {"train.max_epochs": 10, "train.max_minutes": 600.0},
        {"model.architecture": "recurrent", "train.max_minutes": 10.0},
    ],
    ids=str,
)
def test_the_speed_is_not_measured_where_nothing_depends_on_it(given: dict[str, Any]) -> None:
    choose_settings(given, MULTI30K, CPU, never)
    choose_settings({"train.max_minutes": 10.0}, MULTI30K, CUDA, never)
    choose_settings({}, TextMeasures(1000, 60.0, 65.0, 2000, 14.0), CPU, never)  # its epochs take less than an hour


def test_all_processes_take_the_speed_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"{number} {number + 1}\n" for number in range(300))
    for side in "src", "tgt":
        (tmp_path / side).write_text(text, encoding="utf-8")
    given = {f"data.train_{side}": str(tmp_path / side) for side in ("src", "tgt")}
    given |= {"vocab.algorithm": "char", "train.max_minutes": 0.5}
    dropouts = []
    for own, first in (1.0, 0.25), (0.25, 0.25), (0.25, 1.0):
        monkeypatch.setattr(measured, "machine_speed", relative(own))
        world: Any = SimpleNamespace(gather=lambda value, own=own, first=first: [value / own * first, value])
        dropouts.append(resolve_new(None, given, "cpu", world=world).config.model.dropout)
    assert dropouts[0] == dropouts[1] < dropouts[2]


def test_the_command_trains_a_narrow_model_on_a_slow_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measured, "machine_speed", relative(0.25))
    monkeypatch.setattr(estimate, "MAX_EXTRA", 0.0)
    write_many_pairs(tmp_path)
    texts = ["--src", str(tmp_path / "t.en"), "--tgt", str(tmp_path / "t.fr"), "--dry-run", "--device", "cpu"]
    quick = ["--set", "vocab.size=300", "--set", "train.batch_tokens=64", "--set", "train.max_minutes=10"]
    assert cli._run(["train", *texts, *quick]) == 0
    assert "4 + 4 layers, width 96," in "".join(capsys.readouterr())  # at speed 1, it would be 128
