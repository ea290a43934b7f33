"""scripts/why_attention: the trial with tiny models, killed and resumed; its texts, settings and tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from why import experiment, parts, speed, training
from why.experiment import ARCHITECTURES, REFERENCE, TASKS, Plan, Task, label, settings_of
from why.measures import alignment_error
from why.report import write_report
from why.results import Record, Results
from why.texts import texts_of
from why.training import text_settings

from tests.helpers.scripts import load_script
from translate.alignment.aligner import Pairing, try_all
from translate.alignment.error_rate import GoldFile
from translate.alignment.methods import MapChoice
from translate.alignment.settings import AlignmentOptions
from translate.alignment.sources import open_lines
from translate.api import load_translator
from translate.config.toml import load_config
from translate.run import model as run_model
from translate.run.folder import Run
from translate.training import loop

TOY = next(task for task in TASKS if task.name == "toy")
MAX_PARAMETERS = {"toy": 1_500_000, "multi30k": 4_000_000, "copy": 1_500_000, "reverse": 1_500_000}
VOCAB_SIZES = {"toy": 3000, "multi30k": 10_000, "copy": 14, "reverse": 14}

Main = Callable[[list[str]], int]


ALIGNMENT = {"layer": None, "head": 1, "method": "argmax", "valid": 0.1,
             "error_rate": 0.2, "precision": 0.75, "recall": 0.85}  # fmt: skip


class KilledError(BaseException):
    """Ends the process in the middle of a step."""


@pytest.fixture(scope="module")
def main() -> Main:
    """The main function of the script."""
    return load_script("why_attention").main


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A trial without Multi30k."""
    return Plan(tmp_path, tmp_path / "none", device="cpu", threads=1, is_quick=True)


@pytest.fixture
def ready_vocab(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vocabulary that need not be trained, which takes longer than the tiny models."""
    for module in training, speed:
        monkeypatch.setattr(module, "text_settings", lambda texts: {**text_settings(texts), "vocab.model": vocab})
    vocab = str(tiny_run / "vocab.model")


def rows_of(document: str, section: str) -> dict[str, list[str]]:
    """Return the cells of a marked table by their first cell."""
    table = document.split(f"<!-- begin {section} -->\n")[1].split(f"<!-- end {section} -->")[0]
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return {first: others for first, *others in lines}


@pytest.mark.usefixtures("ready_vocab")
def test_killed_trial_resumes_and_fills_in_the_document(
    main: Main, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["--quick", *(f"--only={part}" for part in ("toy", "multi30k", "alignment")), f"--out={plan.out}"]
    command += ["--threads=1", f"--multi30k={plan.multi30k}"]
    monkeypatch.setattr(parts, "alignment_error", lambda run, texts, plan: ALIGNMENT)
    calls = iter(range(100))
    log_steps = loop.log_steps

    def killing(*arguments: object) -> str:
        if next(calls) == 4:  # in step 2 of the second training
            raise KilledError
        return log_steps(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "log_steps", killing)
        with pytest.raises(KilledError):
            main(command)
    first, second, third, _ = (plan.out / "runs" / label(TOY, architecture) for architecture in ARCHITECTURES)
    written = (first / "model.safetensors").stat().st_mtime_ns
    assert not third.exists()
    assert main(command) == 0
    assert (first / "model.safetensors").stat().st_mtime_ns == written
    assert "resumed after step 1" in (second / "train.log").read_text("utf-8")
    assert [line["step"] for line in Run(second).metrics() if "train_loss" in line] == [1, 2, 3]

    document = (plan.out / "why-attention.md").read_text("utf-8")
    assert list(rows_of(document, "models"))[2:] == [f"toy: {architecture}" for architecture in ARCHITECTURES]
    assert list(rows_of(document, "bleu-toy"))[3:] == list(ARCHITECTURES)
    alignments = rows_of(document, "alignment")
    assert [name for name in alignments if name in ARCHITECTURES] == list(ARCHITECTURES)[1:]
    assert alignments[REFERENCE] == ["mean", "1", "argmax", "0.100", "0.200", "0.750", "0.850"]
    assert not rows_of(document, "bleu-multi30k")
    assert b"decoder-only" in (plan.out / "figures/why-bleu-toy.svg").read_bytes()

    monkeypatch.setattr(training, "train", None)  # nothing is left to be trained
    assert main(command) == 0
    assert (plan.out / "why-attention.md").read_text("utf-8") == document
    monkeypatch.setattr(experiment, "QUICK", experiment.QUICK.replace("train.max_steps=3", "train.max_steps=4"))
    assert main(command) == 2


def test_digit_strings_are_held_out_and_longer_than_in_training(plan: Plan) -> None:
    for task in (task for task in TASKS if task.part == "digits"):
        texts = texts_of(task, plan)
        train, test = (dict(zip(*(path.read_text("utf-8").split() for path in sides[:2]), strict=True))
                       for sides in (texts.train, texts.test))  # fmt: skip
        assert {len(string) for string in train} == set(range(5, 21))
        assert [len(string) for string in test] == list(range(5, 41))
        assert not set(train) & set(test)
        assert all(copy == (string[::-1] if task.name == "reverse" else string) for string, copy in test.items())


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_models_of_a_task_have_about_the_same_number_of_parameters(task: Task, plan: Plan) -> None:
    real = replace(plan, is_quick=False)
    counts = {}
    for architecture in ARCHITECTURES:
        config = load_config(None, settings_of(task, architecture, real))
        size = VOCAB_SIZES[task.name]
        model = run_model.ARCHITECTURES[config.model.architecture](config.model, size, size, True)
        counts[architecture] = sum(weights.numel() for weights in model.parameters())
    assert max(counts.values()) <= MAX_PARAMETERS[task.name]
    assert all(0.9 < count / counts[REFERENCE] < 1.1 for count in counts.values()), counts


def test_map_is_chosen_on_the_validation_text(tiny_run: Path, plan: Plan) -> None:
    texts = texts_of(TOY, plan)
    found = alignment_error(Run(tiny_run), texts, plan)
    again = alignment_error(Run(tiny_run), texts._replace(test=texts.valid), plan)
    assert again["error_rate"] == found["valid"] == again["valid"] != found["error_rate"]
    assert all(again[name] == found[name] for name in ("layer", "head", "method"))
    assert texts.test.align
    choice = MapChoice(found["layer"], found["head"])
    pairing = Pairing(open_lines(tiny_run, *texts.test[:2], load_translator))
    tried = try_all(pairing, [choice], AlignmentOptions().configs(is_both_ways=False), GoldFile(texts.test.align))
    assert (found["method"], found["error_rate"]) in [(str(each.config), each.score[0]) for each in tried.results]


@pytest.mark.usefixtures("ready_vocab")
def test_speed_is_measured_where_there_is_a_corpus(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in parts, speed:
        monkeypatch.setattr(module, "ARCHITECTURES", {REFERENCE: ARCHITECTURES[REFERENCE]})
    monkeypatch.setattr(speed, "TIMED_LENGTHS", (10, 20))
    results = Results(plan.out / "results")
    parts.carry_out("speed", plan, results)
    found = results.read("speed-toy-1")
    assert found
    assert all(each > 0 for each in found["speeds"][REFERENCE].values())
    assert not (plan.out / "runs" / "timed").exists()
    assert results.read("speed-multi30k-1") is None
    lengths = results.read("speed-copy-1")
    assert lengths
    assert all(each > 0 for each in lengths["speeds"][REFERENCE])
    assert len(lengths["speeds"][REFERENCE]) == 2


def test_ratios_and_differences_are_those_of_the_measurements(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    speeds = {architecture: 10.0 * number for number, architecture in enumerate(ARCHITECTURES, start=1)}
    for number, factor in enumerate((1.0, 3.0), start=1):  # the Transformer has 30
        slowed = {name: {"training": each, "decoding": each * factor} for name, each in speeds.items()}
        slowed["no attention"]["training"] *= factor
        results.keep(f"speed-toy-{number}", lambda found=slowed: {"machine": "a machine", "speeds": found})
    for number, architecture in enumerate(ARCHITECTURES):
        name = architecture.lower().replace(" ", "-")
        record = scored(90 + 0.6 * number, [95.0, 95.0 - 10 * number])
        results.keep(f"score-toy-{name}", lambda found=record: found)
        lengths = {"lengths": [5, 12, 13], "lines": [100] * 3, "exact": [100, 90, 10 * number]}
        results.keep(f"exact-copy-{name}", lambda found=lengths: found)
    for number in (1, 2, 3):
        by_length = {REFERENCE: [number * speed for speed in (100.0, 80.0, 50.0)]}
        results.keep(f"speed-copy-{number}", lambda found=by_length: {"machine": "a machine", "speeds": found})
    path = tmp_path / "document.md"
    sections = "bleu-toy", "digits", "speed"
    path.write_text("".join(f"<!-- begin {name} -->\n<!-- end {name} -->\n" for name in sections), "utf-8")
    write_report(path, results)
    document = path.read_text("utf-8")
    assert rows_of(document, "bleu-toy")["no attention"] == ["90.0 ± 0.5", "-1.2", "95.0", "95.0", "+0.0"]
    assert rows_of(document, "bleu-toy")["decoder-only"] == ["91.8 ± 0.5", "within 1", "95.0", "65.0", "-30.0"]
    assert rows_of(document, "digits")["decoder-only"] == ["100 %", "60 %", "12"]
    assert rows_of(document, "speed")["no attention"] == ["20", "0.67 (0.33–1.00)", "20", "0.33 (0.33–0.33)"]
    assert rows_of(document, "speed")[REFERENCE] == ["200", "160", "100", "0.50"]


def scored(bleu: float, groups: list[float]) -> Record:
    whole = {"lines": 200, "bleu": bleu, "margin": 0.5, "signature": "s"}
    return {
        "all": whole,
        "groups": [whole | {"first": 1 + 3 * n, "last": 3 if n == 0 else None, "mean": 2 + 3 * n, "bleu": each}
                   for n, each in enumerate(groups)],
    }  # fmt: skip
