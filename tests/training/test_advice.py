"""Training that is set up to fail gets the right advice; healthy training gets none."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from tests.helpers.runs import CPU, changed, train_into
from translate.config.settings import Config
from translate.config.toml import load_config, setting_names
from translate.run.folder import Run
from translate.training.advice import advise_at_start, diagnose
from translate.training.loop import train
from translate.training.prepare import prepare
from translate.training.resolve_config import resolve_new, resolve_resumed

TOY = Path(__file__).parents[2] / "configs" / "toy.toml"


def advice_of(run: Run) -> list[str]:
    return re.findall(r"^\S+ \S+ advice: (.*)$", (run.path / "train.log").read_text(encoding="utf-8"), re.MULTILINE)


def lines_of(text: Path, count: int, at: int = 0) -> str:
    return "".join(text.read_text(encoding="utf-8").splitlines(keepends=True)[at : at + count])


def test_healthy_training_gets_no_advice(tiny_run: Path) -> None:
    assert advice_of(Run(tiny_run)) == []
    assert not any("advice" in line for line in Run(tiny_run).metrics())


def test_a_far_too_high_learning_rate_is_reported_only_once_even_after_resuming(
    tmp_path: Path, tiny_config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    config = changed(tiny_config, "train", learning_rate=1.0, max_steps=40, validate_every=10, validate_sentences=0)
    run = train_into(tmp_path / "run", config)
    train(Run.resume(run.path, config), changed(config, "train", max_steps=60), CPU)
    (advice,) = [each for each in advice_of(run) if "the learning rate is too high" in each]
    assert re.search(
        r"is too high; in a new run .*, lower train\.learning_rate \(1\) or raise train\.warmup_steps \(10\)", advice
    )
    assert capsys.readouterr().err.count("advice: the training loss is") == 1
    assert sum("blown_up" in line.get("advice", ()) for line in run.metrics()) == 1


def test_a_far_too_low_learning_rate_is_reported(tmp_path: Path, tiny_config: Config) -> None:
    config = changed(tiny_config, "train", learning_rate=1e-9, max_steps=60, validate_every=10, validate_sentences=0)
    advice = advice_of(train_into(tmp_path / "run", config))
    assert len([each for each in advice if "since the end of warm-up: raise train.learning_rate (1e-09)" in each]) == 1


def test_overfitting_is_reported(tmp_path: Path, tiny_config: Config, corpus: Path) -> None:
    for language in "en", "fr":
        (tmp_path / language).write_text(lines_of(corpus / f"train.{language}", 24), encoding="utf-8")
    config = changed(tiny_config, "data", train_src=str(tmp_path / "en"), train_tgt=str(tmp_path / "fr"))
    config = changed(changed(config, "model", dropout=0.0), "vocab", size=330)
    config = changed(config, "train", max_steps=100, validate_every=10, validate_sentences=0, label_smoothing=0.0)
    run = train_into(tmp_path / "run", config)
    advice = advice_of(run)
    assert len([each for each in advice if "overfitting; in a new run, raise model.dropout (0)" in each]) == 1
    assert len([each for each in advice if "of the training text: in a new run, lower train.batch" in each]) == 1
    assert len(advice) == 2


def test_a_vocabulary_too_large_for_the_text_is_reported(tmp_path: Path, tiny_config: Config) -> None:
    for is_joint in True, False:
        config = changed(changed(tiny_config, "vocab", size=1600, joint=is_joint), "train", max_steps=1)
        advice = advice_of(train_into(tmp_path / f"run{is_joint}", config))
        assert len(advice) == (1 if is_joint else 2)
        for each in advice:
            assert re.search(r"\d\d% of the pieces in the vocabulary occur fewer .* lower vocab.size \(1,600\)", each)


def test_constant_heavy_gradient_clipping_is_reported(tmp_path: Path, tiny_config: Config) -> None:
    config = changed(tiny_config, "train", clip_norm=0.01, max_steps=30, validate_sentences=0)
    (advice,) = advice_of(train_into(tmp_path / "run", config))
    assert "times train.clip_norm (0.01), so only their direction matters" in advice


CURVE = [8.5, 7.0, 6.0, 5.5, 5.2, 4.9, 4.6, 4.3, 4.0, 3.8, 3.6, 3.5, 3.4, 3.3, 3.2, 3.1]  # of a healthy training


def history(curve: list[float], **of_validations: float) -> list[dict[str, float]]:
    lines: list[dict[str, float]] = []
    for number, loss in enumerate(curve, start=1):
        lines.append({"step": 100 * number, "train_loss": loss, "gradient_norm": 1.5, "learning_rate": 1e-3})
        if number % 4 == 0:
            lines.append({"step": 100 * number, "valid_loss": loss - 0.3, "bleu": 3.0, **of_validations})
    return lines


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (history(CURVE, different_outputs=1.0, empty_outputs=0.0), []),
        (history([*CURVE, 4.4, 3.0, 3.0, 3.0]), []),  # a jump that comes back
        (history([*CURVE, *[3.1] * 50]), []),  # learnt, and now at its end
        (history([*CURVE, 6.0, 6.5, 6.4, 6.3]), ["blown_up"]),
        (history([8.5, 7.0, *[6.1] * 30]), ["flat"]),
        (history([8.5, *[6.1, 5.9] * 2, *CURVE[4:]], different_outputs=0.02, empty_outputs=0.0), []),  # it falls
        (history([8.5, 7.0, *[4.1] * 30], different_outputs=0.02, empty_outputs=0.0), ["all_alike"]),
        (history([8.5, 7.0, *[4.1] * 30], different_outputs=0.5, empty_outputs=0.95), ["all_alike"]),
        (history([8.5, 7.0, *[4.1] * 30], different_outputs=0.5, empty_outputs=0.1), []),
    ],
)
def test_the_rules_report_only_clear_cases(lines: list[dict[str, float]], expected: list[str]) -> None:
    config = load_config(TOY, {})
    for count in range(1, len(lines) + 1):
        found = diagnose(lines[:count], config, num_pieces=8000)
        assert found.keys() <= set(expected), (count, found)
    assert list(found) == expected
    assert all("train." in text for text in found.values())
    chosen = diagnose(lines, config, 8000, setting_names())
    assert list(chosen) == expected
    assert not any(re.search(r"(lower|raise) \w+\.", text) for text in chosen.values())


def test_only_settings_that_the_user_chose_are_to_be_changed(tmp_path: Path, tiny_config: Config) -> None:
    config = changed(changed(tiny_config, "vocab", size=1600), "train", batch_tokens=4096)
    prepared = prepare(Run.create(tmp_path / "run", config), config)
    everything = advise_at_start(prepared, config, 1)
    assert ["lower vocab.size" in everything[0], "lower train.batch_tokens" in everything[1]] == [True, True]
    assert advise_at_start(prepared, config, 1, ["vocab.size"]) == everything[1:]
    assert advise_at_start(prepared, config, 1, ["train.batch_tokens"]) == everything[:1]
    assert not advise_at_start(prepared, config, 1, ["vocab.size", "train.batch_tokens"])


def test_a_run_remembers_what_it_chose_until_the_user_sets_it(tmp_path: Path, corpus: Path) -> None:
    texts = {"data.train_src": str(corpus / "train.en"), "data.train_tgt": str(corpus / "train.fr")}
    resolved = resolve_new(None, texts | {"model.d_model": 32}, "cpu")
    assert {"train.learning_rate", "vocab.size"} <= resolved.chosen
    assert "model.d_model" not in resolved.chosen
    run = Run.create(tmp_path / "run", resolved.config)
    assert not run.load_chosen()
    run.write_chosen(resolved.chosen)
    assert resolve_resumed(run, None, {}).chosen == resolved.chosen
    given = {"train.learning_rate": 1e-3}
    assert resolve_resumed(run, None, given).chosen == resolved.chosen - {"train.learning_rate"}


def test_losses_with_and_without_r_drop_are_not_compared() -> None:
    """R-Drop starts after step 1,600 of 3,200 and adds 1.5 nats to the loss; then the model overfits."""
    lines = history([*CURVE, *(4.6 - 0.05 * number for number in range(16))])
    risen = iter([2.0, 2.1, 2.2, 2.3])
    for line in lines:
        if line["step"] > 1600 and "valid_loss" in line:
            line["valid_loss"] = next(risen)
    settings: dict[str, object] = {"train.rdrop": 3.0, "train.rdrop_from": 0.5, "train.max_steps": 3200}
    told = [diagnose(lines[:count], load_config(TOY, settings), 8000) for count in range(1, len(lines) + 1)]
    assert [list(each) for each in told if each] == [["overfitting"]]


def test_real_successful_training_runs_get_no_advice() -> None:
    """Losses from two real runs (toy settings, larger text), averaged over several lines of metrics.jsonl."""
    toy = [7.12, 4.99, 3.94, 3.10, 2.25, 1.68, 1.43, 1.19, 1.04, 0.98, 0.96, 0.90, 0.88, 0.81, 0.79, 0.81, 0.79, 0.74]
    larger = [
        8.04,
        6.50,
        5.67,
        5.22,
        4.79,
        4.30,
        4.07,
        4.10,
        3.87,
        3.77,
        3.65,
        3.41,
        3.31,
        3.33,
        3.17,
        2.97,
        2.91,
        3.07,
    ]
    for losses, num_pieces in (toy, 3000), (larger, 6000):
        assert losses[0] < math.log(num_pieces) + 1
        lines = history(losses, different_outputs=0.9, empty_outputs=0.0)
        assert not any(diagnose(lines[:count], load_config(TOY, {}), num_pieces) for count in range(1, len(lines) + 1))
