"""Training that starts from the weights of another run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.corpora import TOY, head
from tests.helpers.processes import two_at_once
from tests.helpers.runs import CPU, changed, of_architecture, train_into, untrained
from tests.helpers.states import assert_equal_states
from translate import cli
from translate.api import load_translator
from translate.config.settings import Config
from translate.config.toml import to_toml
from translate.errors import UserError
from translate.run.folder import Run
from translate.training.loop import train
from translate.training.resolve_config import load_new_config, load_resumed_config, resolve_new, resolve_resumed
from translate.training.resume import init_from_run


@pytest.fixture(scope="module")
def new_text(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Text unlike what `tiny_run` was trained on, with characters that its vocabulary must encode as bytes."""
    folder = tmp_path_factory.mktemp("new")
    files: dict[str, object] = {}
    for part, count in ("train", 60), ("valid", 20):
        for side, language in ("src", "en"), ("tgt", "fr"):
            path = folder / f"{part}.{language}"
            path.write_text(head(TOY / f"{part}.{language}", count).replace("e", "ё").swapcase(), encoding="utf-8")
            files[f"data.{part}_{side}"] = str(path)
    return files


@pytest.fixture(scope="module")
def given(tiny_run: Path, new_text: dict[str, object]) -> dict[str, object]:
    """Settings for fine-tuning `tiny_run` on that text, without the model shape and the vocabulary."""
    return {
        **new_text,
        "train.init_from": str(tiny_run),
        "train.batch_tokens": 512,
        "train.learning_rate": 0.003,
        "train.warmup_steps": 3,
        "train.max_steps": 6,
        "train.log_every": 1,
        "train.validate_every": 3,
        "train.validate_sentences": 2,
        "train.snapshot_sentences": 1,
        "train.save_every": 3,
        "train.keep_checkpoints": 9,
        "train.ema_decay": 0.5,
        "train.precision": "float32",
        "model.dropout": 0.3,
    }


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, given: dict[str, object]) -> Run:
    return train_into(tmp_path_factory.mktemp("runs") / "tuned", load_new_config(None, given))


def loss_on(run: Path, text: dict[str, object]) -> float:
    """Nats per piece of the validation text, computed as in `translate score`."""
    sides = (Path(str(text[f"data.valid_{side}"])).read_text("utf-8").splitlines() for side in ("src", "tgt"))
    scored = list(load_translator(run, "cpu").score(zip(*sides, strict=True)))
    return -sum(sum(each.log_probs) for each in scored) / sum(len(each.log_probs) for each in scored)


def test_fine_tuning_starts_from_bit_identical_weights(tuned: Run, tiny_run: Path) -> None:
    first = load_file(tuned.checkpoints_path / "step-00000000" / "model.safetensors")
    old = load_file(tiny_run / "model.safetensors")
    assert first.keys() == old.keys()
    assert all(torch.equal(first[name], weight) for name, weight in old.items())
    assert (tuned.path / "vocab.model").read_bytes() == (tiny_run / "vocab.model").read_bytes()
    assert f"starting from the weights in {tiny_run}/model.safetensors" in tuned.log_path.read_text("utf-8")
    assert tuned.load_config().train.init_from == str(tiny_run)


def test_the_loss_on_the_new_text_starts_at_that_of_the_old_run_and_falls(
    tuned: Run, tiny_run: Path, new_text: dict[str, object]
) -> None:
    losses = {line["step"]: line["valid_loss"] for line in tuned.metrics() if "valid_loss" in line}
    assert losses[0] == pytest.approx(loss_on(tiny_run, new_text), abs=1e-4)
    assert losses[6] < losses[3] < losses[0] - 0.2
    assert loss_on(tuned.path, new_text) == pytest.approx(losses[6], abs=1e-4)


def test_the_moving_average_counts_the_initial_weights_as_one_step(
    tmp_path: Path, given: dict[str, object], tiny_run: Path
) -> None:
    run = train_into(tmp_path / "run", load_new_config(None, given | {"train.max_steps": 1, "train.ema_decay": 0.9}))
    last = run.checkpoints_path / "step-00000001"
    old, new = load_file(tiny_run / "model.safetensors"), load_file(last / "model.safetensors")
    for name, average in load_file(last / "average.safetensors").items():
        assert torch.allclose(average, (old[name] + new[name]) / 2, atol=1e-6), name


@pytest.mark.parametrize("step", [0, 3])
def test_fine_tuning_resumes_exactly_after_the_old_run_is_deleted(
    tuned: Run, tiny_run: Path, tmp_path: Path, given: dict[str, object], step: int
) -> None:
    shutil.copytree(tuned.path, tmp_path / "run")
    for later in range(step + 3, 7, 3):
        shutil.rmtree(tmp_path / "run" / "checkpoints" / f"step-{later:08d}")
    copy = Run(tmp_path / "run")
    away = tiny_run.rename(tmp_path / "away")
    try:
        # The same settings again, or none.
        config = load_resumed_config(copy, None, given if step else {})
        train(Run.resume(copy.path, config), config, CPU)
    finally:
        away.rename(tiny_run)
    assert_equal_states(copy, tuned)
    assert (copy.path / "model.safetensors").read_bytes() == (tuned.path / "model.safetensors").read_bytes()
    names = {"minutes", "tokens_per_second"}
    lines = [[{name: line[name] for name in line.keys() - names} for line in run.metrics()] for run in (copy, tuned)]
    assert lines[0] == lines[1]


def test_a_settings_file_resumes_with_inherited_settings(tuned: Run, tmp_path: Path, given: dict[str, object]) -> None:
    file = tmp_path / "tuned.toml"
    lines: dict[str, list[str]] = {}
    for name, value in given.items():
        section, _, key = name.partition(".")
        lines.setdefault(section, []).append(f"{key} = {value!r}")
    file.write_text("\n".join(f"[{section}]\n" + "\n".join(each) for section, each in lines.items()), "utf-8")
    assert load_resumed_config(tuned, file, {}) == load_new_config(file, {}) == tuned.load_config()


def test_a_resumed_run_keeps_the_normalization_of_its_vocabulary(tiny_config: Config, tmp_path: Path) -> None:
    """The default may have been another when the run began."""
    run = Run.create(tmp_path / "run", changed(tiny_config, "vocab", normalization="nmt_nfkc"))
    file = tmp_path / "settings.toml"
    file.write_text(to_toml(tiny_config).replace('normalization = "nfc"', ""), "utf-8")
    assert load_resumed_config(run, file, {}) == run.load_config()
    assert load_resumed_config(run, file, {"vocab.normalization": "nfc"}) == tiny_config


def test_without_its_checkpoints_fine_tuning_never_starts_from_other_weights(tuned: Run, tmp_path: Path) -> None:
    shutil.copytree(tuned.path, tmp_path / "run", ignore=shutil.ignore_patterns("step-*"))
    config = tuned.load_config()
    with pytest.raises(UserError, match="no checkpoint found, although this run reached step 6"):
        train(Run.resume(tmp_path / "run", config), config, CPU)


def test_shape_and_vocabulary_are_kept_and_dropout_may_change(tuned: Run, tiny_config: Config) -> None:
    config = tuned.load_config()
    assert config.vocab == tiny_config.vocab
    assert config.model == tiny_config.model.model_copy(update={"dropout": 0.3})
    assert config.data.max_pieces == tiny_config.data.max_pieces


@pytest.mark.parametrize("name", ["model.d_model", "vocab.size", "data.max_pieces"])
def test_a_contradicting_setting_is_named(given: dict[str, object], tiny_run: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"^{tiny_run}: has {name} = .* \\(now 64\\).* remove this setting") as caught:
        load_new_config(None, given | {name: 64})
    assert "\n" not in str(caught.value)


def test_settings_are_checked_against_the_inherited_shape(
    tmp_path: Path, tiny_config: Config, new_text: dict[str, object]
) -> None:
    """The default shape would not allow this setting."""
    run = Run.create(tmp_path / "old", changed(tiny_config, "model", num_decoder_layers=6))
    config = load_new_config(None, new_text | {"train.init_from": str(run.path), "train.alignment_layer": 5})
    assert config.train.alignment_layer == 5
    with pytest.raises(UserError, match=r"train\.alignment_layer = 6: the last layer is 5"):
        load_new_config(None, new_text | {"train.init_from": str(run.path), "train.alignment_layer": 6})


def test_separate_vocabularies_are_both_inherited(
    tmp_path: Path, tiny_config: Config, given: dict[str, object]
) -> None:
    config = changed(changed(tiny_config, "vocab", joint=False, size=330), "train", max_steps=1)
    old = train_into(tmp_path / "old", config)
    run = Run.create(tmp_path / "new", load_new_config(None, given | {"train.init_from": str(old.path)}))
    init_from_run(run, run.load_config())
    for name in "vocab.src.model", "vocab.tgt.model":
        assert (run.path / name).read_bytes() == (old.path / name).read_bytes()
    assert not (run.path / "vocab.model").exists()


def broken(run: Path) -> None:
    content = bytearray((run / "model.safetensors").read_bytes())
    content[-5] ^= 1
    (run / "model.safetensors").write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (broken, "model.safetensors: damaged"),
        (lambda run: (run / "model.safetensors").unlink(), "no weights found"),
        (lambda run: (run / "vocab.model").unlink(), "no vocabulary yet"),
        (lambda run: (run / "vocab.model").write_bytes(b"x"), "vocab.model: does not match model.safetensors"),
        (lambda run: (run / "config.toml").unlink(), "not a run folder"),
    ],
)
def test_an_unusable_initial_run_gives_a_one_line_error(
    tmp_path: Path, tiny_run: Path, new_text: dict[str, object], capsys: pytest.CaptureFixture[str], damage, expected
) -> None:
    old, out = tmp_path / "old", tmp_path / "new"
    shutil.copytree(tiny_run, old)
    damage(old)
    files = [str(new_text["data.train_src"]), "--tgt", str(new_text["data.train_tgt"])]
    assert cli._run(["train", "--init-from", str(old), "--src", *files, "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert expected in said
    assert not out.exists()


@pytest.mark.parametrize("architecture", ["recurrent", "decoder-only"])
def test_fine_tuning_inherits_the_architecture_and_both_it_and_resuming_refuse_another(
    tmp_path: Path, tiny_config: Config, tiny_run: Path, new_text: dict[str, object], architecture: str
) -> None:
    old = untrained(tmp_path / "old", of_architecture(tiny_config, architecture), Run.open(tiny_run).load_vocabs())
    given = new_text | {"train.init_from": str(old.path)}
    resolved = resolve_new(None, given, "cpu")
    assert resolved.config.model == old.load_config().model
    change = f'model.architecture = "{architecture}" (now "transformer")'
    other = {"model.architecture": "transformer"}
    with pytest.raises(UserError) as refused:
        resolve_new(None, given | other, "cpu")
    assert str(refused.value) == (
        f"{old.path}: has {change}, which a run that starts from its weights cannot change; "
        "remove this setting or train.init_from"
    )
    with pytest.raises(UserError) as refused:
        resolve_resumed(old, None, other)
    assert str(refused.value) == f"{old.path}: this run began with {change}; restore these values or start a new run"


def test_a_dry_run_also_starts_from_the_weights(
    tiny_run: Path, new_text: dict[str, object], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("translate.training.estimate.MAX_EXTRA", 0.1)  # save the time of timing
    files = [str(new_text["data.train_src"]), "--tgt", str(new_text["data.train_tgt"])]
    assert cli._run(["train", "--init-from", str(tiny_run), "--src", *files, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert f"setting      train.init_from = '{tiny_run}'" in told
    assert "vocabulary   400 pieces" in told


def test_the_old_and_the_new_run_form_an_ensemble(tuned: Run, tiny_run: Path) -> None:
    together = load_translator(tuned.path, "cpu", ensemble=[tiny_run])
    assert len(together.translate(["I love apples."])) == 1


def test_two_processes_start_from_the_same_weights(tmp_path: Path, given: dict[str, object], tuned: Run) -> None:
    few = {"train.max_steps": 3, "train.validate_sentences": 0, "train.snapshot_sentences": 0}
    config = load_new_config(None, given | few | {"train.batch_tokens": 256})
    (tmp_path / "c.toml").write_text(to_toml(config), encoding="utf-8")
    done = two_at_once("train", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    run = Run(tmp_path / "run")
    before, after = (
        {line["step"]: line["valid_loss"] for line in each.metrics() if "valid_loss" in line} for each in (tuned, run)
    )
    assert after[0] == pytest.approx(before[0], abs=1e-4)
    assert after[3] < after[0]
