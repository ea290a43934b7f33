"""Finished measurements, each in a file of its own, so that an interrupted experiment continues where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translate.system.files import write_text

Record = dict[str, Any]  # a JSON object


@dataclass(frozen=True)
class Results:
    """A folder of measurements by name."""

    folder: Path

    def keep(self, name: str, measure: Callable[[], Record]) -> Record:
        """Return the measurement of this name; measure and store it if there is none."""
        found = self.read(name)
        if found is None:
            found = measure()
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self._path(name), json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        return found

    def read(self, name: str) -> Record | None:
        """Return the measurement of this name, or None if there is none."""
        path = self._path(name)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"
