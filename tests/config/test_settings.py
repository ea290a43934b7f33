"""Settings: accepted values, and messages about invalid ones."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translate.config.settings import Config
from translate.config.toml import differences, is_frozen, load_config, parse_override, setting_names, to_toml
from translate.errors import UserError

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


def complaint(path: Path | None = None, **overrides: object) -> str:
    with pytest.raises(UserError) as caught:
        load_config(path, {name.replace("__", "."): value for name, value in overrides.items()})
    return str(caught.value)


def written(folder: Path, text: str) -> Path:
    path = folder / "c.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_settings_survive_a_toml_round_trip(tmp_path: Path) -> None:
    config = load_config(None, {"data.train_src": '/a "b"\\ü\n', "data.train_tgt": "/x", "train.learning_rate": 3e-4})
    assert load_config(written(tmp_path, to_toml(config))) == config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_contains_only_values_that_differ_from_the_defaults(path: Path) -> None:
    import tomllib

    load_config(path)
    defaults = Config().model_dump()
    for section, table in tomllib.loads(path.read_text()).items():
        for key, value in table.items():
            assert value != defaults[section][key], f"{section}.{key} is the default"


def test_paths_are_relative_to_the_settings_file_or_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    path = written(tmp_path, '[data]\ntrain_src = "a.en"\ntrain_tgt = "../b"\n')
    config = load_config(path, {"data.train_tgt": "c.fr"})
    assert config.data.train_src == str(tmp_path / "a.en")
    assert config.data.train_tgt == "/c.fr"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[model]\nd_modle = 3", "model.d_modle: unknown setting; did you mean model.d_model?"),
        ("[train]\ndropout = 0.3", "train.dropout: unknown setting; did you mean vocab.dropout or model.dropout?"),
        ("[modle]\nd_model = 3", "modle.d_model: unknown setting; did you mean model.d_model?"),
        ("[train]\nepochs = 3", "train.epochs: unknown setting; did you mean train.max_epochs?"),
        (
            "[model]\nlayers = 3",
            "model.layers: unknown setting; did you mean model.num_encoder_layers or model.num_dec",
        ),
        (
            "[model]\nwidht = 3",
            "model.widht: unknown setting; [model] has architecture, d_model, d_ff, num_heads,",
        ),
        ("[train]\nbatch_size = 8", "train.batch_size: unknown setting; did you mean train.batch_tokens?"),
        ("[train]\nlr = 0.1", "train.lr: unknown setting; did you mean train.learning_rate?"),
        ("[train]\nzzz = 0.1", "train.zzz: unknown setting; [train] has init_from, seed, "),
        ("[train]\nd_modle = 3", "train.d_modle: unknown setting; did you mean model.d_model?"),
        ('[model]\nnum_heads = "4"', 'model.num_heads = "4": should be an integer'),
        ("[model]\nnum_heads = 4.0", "model.num_heads = 4.0: should be an integer"),
        ("[model]\ndropout = 1.0", "model.dropout = 1.0: should be less than 1"),
        ("[model]\nd_model = -4", "model.d_model = -4: should be greater than 0"),
        ("[train]\nmax_minutes = 1e-300", "train.max_minutes = 1e-300: should be 0, for no limit, or at least 1e-06"),
        ("[model]\nd_model = 30", "[model] d_model 30 is not divisible by num_heads 4"),
        ('[train]\nschedule = "cos"', "train.schedule = \"cos\": should be 'inverse_sqrt', 'cosine' or 'constant'"),
        ("[train]\nweight_decay = 1000.0", "[train] weight_decay 1000 times learning_rate 0.001 is 1: each step"),
        ("train = 3", "train: this is a section; write [train] and its settings below"),
        ('[data]\ntrain_src = "a"', "[data] train_src is set but train_tgt is not; set both"),
        (
            '[model]\narchitecture = "recurrent"\nd_ff = 512',
            '[model] d_ff = 512: has no effect with architecture "recurrent"; remove it',
        ),
        ("[train\n", "not valid TOML"),
    ],
)
def test_an_error_is_one_line_that_names_the_file_and_the_setting(tmp_path: Path, text: str, expected: str) -> None:
    path = written(tmp_path, text)
    said = complaint(path)
    assert said.startswith(f"{path}: {expected}")
    assert "\n" not in said


def test_each_error_is_reported_on_its_own_line(tmp_path: Path) -> None:
    said = complaint(written(tmp_path, "[model]\nd_modle = 3\n[train]\nmax_stps = 3\n")).splitlines()
    assert len(said) == 2


def test_command_line_errors_are_labeled(tmp_path: Path) -> None:
    path = written(tmp_path, "[train]\nseed = 3\n")
    assert complaint(path, train__max_stps=3) == (
        "command line: train.max_stps: unknown setting; did you mean train.max_steps?"
    )
    assert "SECTION.KEY" in complaint(path, seed=3)


def test_a_setting_that_the_architecture_does_not_use_is_refused_wherever_it_is_set(tmp_path: Path) -> None:
    path, reason = written(tmp_path, "[model]\nd_ff = 512\n"), "has no effect with architecture"
    assert complaint(path, model__architecture="recurrent") == (
        f'{path} and command line: [model] d_ff = 512: {reason} "recurrent"; remove it'
    )
    assert complaint(model__cell="lstm") == f'command line: [model] cell = "lstm": {reason} "transformer"; remove it'
    assert complaint(written(tmp_path, "[data]\n"), train__alignment_layer=3) == (
        f"{path} and command line: train.alignment_layer = 3: the last layer is 2"
    )
    assert complaint(model__architecture="decoder-only", model__num_encoder_layers=2) == (
        f'command line: [model] num_encoder_layers = 2: {reason} "decoder-only"; remove it'
    )


@pytest.mark.parametrize(
    ("architecture", "unused"), [("transformer", "cell"), ("recurrent", "d_ff"), ("decoder-only", "num_encoder_layers")]
)
def test_settings_are_written_without_those_that_the_architecture_does_not_use(
    tmp_path: Path, architecture: str, unused: str
) -> None:
    config = load_config(None, {"model.architecture": architecture})
    written_model = tomllib.loads(to_toml(config))["model"]
    assert "d_model" in written_model
    assert unused not in written_model
    assert load_config(written(tmp_path, to_toml(config))) == config


@settings(deadline=None)
@given(st.sampled_from(setting_names()), st.data())
def test_typos_in_keys_are_rejected(name: str, data: st.DataObject) -> None:
    section, _, key = name.partition(".")
    place = data.draw(st.integers(0, len(key) - 1))
    typo = f"{section}.{key[:place]}{key[place + 1 :]}"
    if typo not in setting_names():
        with pytest.raises(UserError, match=r"unknown setting|SECTION\.KEY"):
            load_config(None, {typo: 1})


def test_an_override_is_parsed_as_toml_or_as_a_plain_string() -> None:
    assert parse_override("train.max_steps=3") == ("train.max_steps", 3)
    assert parse_override("train.learning_rate=1e-3") == ("train.learning_rate", 1e-3)
    assert parse_override("vocab.joint=false") == ("vocab.joint", False)
    assert parse_override("data.train_src=my file=x.en") == ("data.train_src", "my file=x.en")
    with pytest.raises(UserError, match=r"SECTION\.KEY=VALUE"):
        parse_override("train.max_steps")


def test_settings_that_a_resumed_run_must_not_change_are_reported() -> None:
    now = load_config(None, {"model.d_model": 64, "train.seed": 5, "train.max_steps": 9, "decode.beam_size": 2})
    changed = differences(Config(), now)
    assert list(changed) == ["model.d_model", "train.seed", "train.max_steps", "decode.beam_size"]
    assert changed["model.d_model"] == "model.d_model = 256 (now 64)"
    assert [name for name in changed if is_frozen(name)] == ["model.d_model", "train.seed"]
    assert is_frozen("data.max_pieces")
    assert not is_frozen("data.train_src")


def test_the_old_name_of_a_renamed_setting_works_with_a_notice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "[train]\nprobe_sentences = 7\n")
    for _ in range(2):
        assert load_config(path).train.snapshot_sentences == 7
    assert load_config(path, {"train.snapshot_sentences": 8}).train.snapshot_sentences == 8
    notice = f"note: {path}: train.probe_sentences is now called train.snapshot_sentences\n"
    assert capsys.readouterr().err == notice
    assert load_config(None, {"train.probe_sentences": 9}).train.snapshot_sentences == 9
    assert "train.probe_sentences: unknown setting" in complaint(
        written(tmp_path, "[train]\nprobe_sentences = 7\nsnapshot_sentences = 8\n")
    )


def test_a_path_that_is_not_utf8_is_stored_as_valid_toml_without_loss(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\xff\x80\xc3\xa9")
    config = load_config(None, {"data.train_src": path, "data.train_tgt": path})
    assert config.data.train_src == path
    stored = tmp_path / "config.toml"
    stored.write_text(to_toml(config), encoding="utf-8")
    assert tomllib.loads(stored.read_text("utf-8"))["data"]["train_src"].endswith("/caf\0e9\0ff\x0080é")
    assert load_config(stored) == config
