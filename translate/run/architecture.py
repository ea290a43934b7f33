"""Refuse runs whose architecture another program cannot express."""

from __future__ import annotations

from translate.config.settings import Config
from translate.errors import UserError
from translate.run.folder import Run


def require_transformer(run: Run, config: Config, program: str, advice: str) -> None:
    """Raise UserError with the advice if the run's architecture is not the Transformer, the only one that fits."""
    if config.model.architecture != "transformer":
        setting = f'model.architecture = "{config.model.architecture}"'
        raise UserError(f"{run.path}: {program} has no model for {setting}; {advice}")
