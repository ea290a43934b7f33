"""Resolve training settings: set by the user, inherited from another run, or chosen to suit the text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from translate.config.files import names_of
from translate.config.settings import Config
from translate.config.toml import check_values, differences, given_setting, load_config, values_by_name
from translate.data.text_scan import TextScan
from translate.errors import UserError
from translate.report.progress import announced
from translate.run.folder import Run, began_otherwise
from translate.system.distributed import ALONE, World

LOADING = "loading PyTorch"
Importing = Callable[[], AbstractContextManager[None]]
INHERITED = "model.", "vocab.", "data.max_pieces"  # prefixes of the settings that a fine-tuned run inherits
MAY_CHANGE = {"model.dropout", "model.attention_dropout", "vocab.dropout"}  # in fine-tuning: only training uses them


@dataclass(frozen=True)
class ResolvedConfig:
    """Training settings and the reasons for them.

    If `train.is_open`, `estimate.plan_steps` derives the number of steps from the encoded text and machine speed.
    """

    config: Config
    reasons: tuple[str, ...] = ()  # lines that explain the chosen settings
    scan: TextScan | None = None  # scan of the training text, if settings were chosen to suit it
    chosen: frozenset[str] = frozenset()  # names of the settings that were chosen


def resolve_new(
    path: Path | None,
    given: Mapping[str, object],
    device: str,
    importing: Importing = nullcontext,
    world: World = ALONE,
) -> ResolvedConfig:
    """Resolve the settings of a new run. Without a settings file, they are chosen to suit the text and the machine.

    The given settings are validated before the text is read. importing: context in which torch is imported. All
    processes of `world` must call this function; the speed of the first one counts. Raises UserError if a setting is
    invalid or contradicts the run in train.init_from, or if the text cannot be read.
    """
    if path:
        config = load_new_config(path, given)
        _check_has_text(config, "")
        return ResolvedConfig(config)
    check_values(given)
    # Settings that depend on others can be checked only after the others have been chosen.
    prefixes = "data.", "vocab.", "train.init_from", *(INHERITED if given.get("train.init_from") else ())
    config = load_new_config(None, {name: value for name, value in given.items() if name.startswith(prefixes)})
    _check_has_text(config, "")
    with announced(LOADING), importing():  # imported here because importing torch takes a second
        from translate.system.device import pick_device
        from translate.training.auto_config import choose_settings, explain, measure_text
        from translate.training.machine_speed import machine_speed
        from translate.training.prepare import NO_PAIRS, scan_training_text
        from translate.training.sizes import Shape

    inherited = _inherited(config) if config.train.init_from else {}
    scan = scan_training_text(config.data)
    with announced("choosing settings that suit the text"):
        measures = measure_text(scan, config.vocab, {**inherited, **given})
    if measures is None:
        files = config.data.train_tgt if config.data.reverse else config.data.train_src
        raise UserError(f"{' and '.join(names_of(files))}: {NO_PAIRS}")

    def speed_of(shape: Shape, vocab_size: int) -> float:
        return world.gather(machine_speed(shape, vocab_size))[0]

    chosen = choose_settings({**inherited, **given}, measures, pick_device(device), speed_of)
    config = load_config(None, given, inherited={**inherited, **chosen})
    return ResolvedConfig(config, explain(config, measures, given), scan, frozenset(chosen))


def resolve_resumed(run: Run, path: Path | None, given: Mapping[str, object]) -> ResolvedConfig:
    """Resolve the settings of a resumed run. Raises UserError if a setting is invalid."""
    config = load_resumed_config(run, path, given)
    _check_has_text(config, "" if path else f"{run.config_path}: ")
    return ResolvedConfig(config, chosen=frozenset(run.load_chosen()) - given.keys())


def load_new_config(path: Path | None, given: Mapping[str, object]) -> Config:
    """Read the settings of a new run with `load_config`, inheriting those of the run in train.init_from, if any.

    Also raises UserError if that run does not exist or the given settings contradict it.
    """
    origin = given_setting(path, given, "train.init_from")
    if not (isinstance(origin, str) and origin):
        return load_config(path, given)
    other = Run.open(Path(origin))
    before = other.load_config()
    inherited = _inherited(before)
    contradicting = _other_architecture(before, path, given)
    if not contradicting:
        config = load_config(path, given, inherited)
        changed = differences(before, config)
        contradicting = [changed[name] for name in inherited if name in changed and name not in MAY_CHANGE]
    if contradicting:
        raise UserError(
            f"{other.path}: has {', '.join(contradicting)}, which a run that starts from its weights cannot change; "
            f"remove {'this setting' if len(contradicting) == 1 else 'these settings'} or train.init_from"
        )
    return config


def load_resumed_config(run: Run, path: Path | None, given: Mapping[str, object]) -> Config:
    """Read the settings of a resumed run without reading the run in train.init_from.

    Unless they are set, normalization and character coverage stay as they are in the run's vocabulary, whatever the
    default was then, and so does what was planned when the run began.
    """
    before = run.load_config()
    if contradicting := _other_architecture(before, path, given):
        raise UserError(began_otherwise(run.path, contradicting))
    if path is None:
        return load_config(run.config_path, given)
    inherited = _inherited(before) if before.train.init_from else {}
    kept = {f"vocab.{name}": getattr(before.vocab, name) for name in ("normalization", "character_coverage")}
    config = load_config(path, given, inherited | kept)
    old, new = before.train, config.train
    planned = {} if new.validate_every else {"validate_every": old.validate_every}
    limits = [(each.max_epochs, each.max_minutes) for each in (old, new)]
    if new.is_open and not old.is_open and limits[0] == limits[1]:
        planned |= {"max_steps": old.max_steps, "warmup_steps": old.warmup_steps}  # still valid
    return config.model_copy(update={"train": new.model_copy(update=planned)})


def _check_has_text(config: Config, where: str) -> None:
    if not config.data.train_src:
        raise UserError(f"{where}data.train_src: no training text; pass --src and --tgt, or name it in a settings file")


def _other_architecture(before: Config, path: Path | None, given: Mapping[str, object]) -> list[str]:
    """Describe a change of architecture, which would make settings of the run before meaningless, or return []."""
    old, new = before.model.architecture, given_setting(path, given, "model.architecture")
    return [] if new in (None, old) else [f'model.architecture = "{old}" (now "{new}")']


def _inherited(config: Config) -> dict[str, object]:
    """Return the settings inherited by a run that starts from the weights of a run with this config."""
    return {name: value for name, value in values_by_name(config).items() if name.startswith(INHERITED)}
