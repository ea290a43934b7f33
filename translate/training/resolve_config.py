"""What a training keeps of the run whose weights it begins with (train.init_from): its vocabulary and its shape."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from translate.config.settings import Config
from translate.config.toml import differences, given_setting, load_config, setting_names
from translate.errors import UserError
from translate.run.folder import Run

# They matter in training only, so another training may have others.
MAY_CHANGE = {"model.dropout", "model.attention_dropout", "vocab.dropout"}


def load_new_config(
    path: Path | None, overrides: Mapping[str, object], chosen: Mapping[str, object] | None = None
) -> Config:
    """The settings of a new run, as `load_config` reads them, with what it keeps of the run in train.init_from.

    chosen: what else holds instead of the defaults.

    Raises UserError also where file or overrides contradict what has to be kept, or there is no such run.
    """
    origin = given_setting(path, overrides, "train.init_from")
    if not (isinstance(origin, str) and origin):
        return load_config(path, overrides, chosen)
    other = Run.open(Path(origin))
    before = other.load_config()
    config = load_config(path, overrides, {**(chosen or {}), **_kept(before)})
    changed = differences(before, config)
    if contradicting := [changed[name] for name in _kept(before) if name in changed and name not in MAY_CHANGE]:
        raise UserError(
            f"{other.path}: has {', '.join(contradicting)}; a run that begins with its weights keeps that: leave "
            f"{'this setting' if len(contradicting) == 1 else 'these settings'} out, or leave out train.init_from"
        )
    return config


def load_resumed_config(run: Run, path: Path | None, overrides: Mapping[str, object]) -> Config:
    """The settings with which a run is to go on. The one whose weights it began with may be gone."""
    if path is None:
        return load_config(run.config_path, overrides)
    before = run.load_config()
    return _with_length(before, load_config(path, overrides, _kept(before) if before.train.init_from else None))


def _kept(config: Config) -> dict[str, object]:
    """The settings that a run which begins with the weights of this one has unless it is given others."""
    names = [name for name in setting_names() if name.startswith(("vocab.", "model."))]
    sections = config.model_dump()
    return {
        name: sections[section][key]
        for name in [*names, "data.max_pieces"]
        for section, _, key in [name.partition(".")]
    }


def _with_length(before: Config, now: Config) -> Config:
    """The settings `now` with the steps that were counted for `before`, if from the same."""
    old, new = before.train, now.train
    if not new.is_open or old.is_open or (old.max_epochs, old.max_minutes) != (new.max_epochs, new.max_minutes):
        return now
    length = {"max_steps": old.max_steps, "warmup_steps": old.warmup_steps}
    return now.model_copy(update={"train": new.model_copy(update=length)})
