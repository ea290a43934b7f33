"""Export to a package for Argos Translate and LibreTranslate: one file, which is a zip archive of a folder.

The folder contains `metadata.json`, `model/` (a CTranslate2 model), `sentencepiece.model`, which serves both languages,
and `README.md`. The same run always gives the same bytes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from translate.config.languages import language_name
from translate.ctranslate2.convert import export_ctranslate2
from translate.ctranslate2.fingerprint import RECORD
from translate.errors import UserError
from translate.export.model_card import Languages, model_card
from translate.export.usage import argos_use
from translate.run.folder import Run
from translate.system.files import atomic_write, naming_disk_errors

SUFFIX = ".argosmodel"
VERSION = "1.0"  # of the package
ARGOS_VERSION = "1.9"  # of Argos Translate, whose packages have had this layout since
CODES = {"zh-Hant": "zt", "pt-BR": "pb"}  # languages that Argos Translate calls otherwise
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the time of all files, which is the first that a zip archive can express
PERMISSIONS = 0o644 << 16


def export_argos(run: Run, path: Path, languages: Languages, precision: str = "int8") -> None:
    """Write the run as a package, which appears at `path` only when it is complete.

    precision: float32, float16 or int8. Raises UserError if `path` exists or does not end in .argosmodel, a language
    is unknown or both are the same, the sides have separate vocabularies, or CTranslate2 cannot express the run.
    """
    codes = Languages(*(CODES.get(code, code) for code in languages))
    _check(run, path, codes)
    with naming_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    with temporary as folder, atomic_write(path) as partial:
        model = Path(folder) / "model"
        export_ctranslate2(run, model, precision)
        files = {f"model/{file.name}": file for file in model.iterdir() if file.name not in (RECORD, "vocab.model")}
        files["sentencepiece.model"] = model / "vocab.model"
        num_bytes = sum(file.stat().st_size for file in files.values())
        texts = {
            "metadata.json": json.dumps(_metadata(languages, codes), indent=2, ensure_ascii=False) + "\n",
            "README.md": model_card(run, languages, argos_use(path.name, codes), num_bytes),
        }
        _write(partial, f"translate-{codes.src}_{codes.tgt}-{VERSION.replace('.', '_')}", files, texts)


def _check(run: Run, path: Path, codes: Languages) -> None:
    if path.suffix != SUFFIX:
        raise UserError(f"{path}: a package is a file whose name ends in {SUFFIX}; name it {path}{SUFFIX}")
    if path.exists() or path.is_symlink():
        raise UserError(f"{path}: already exists; delete it, or choose another name")
    for option, side, code in ("--from", "from", codes.src), ("--to", "to", codes.tgt):
        if not code:
            raise UserError(f"{run.path}: the language to translate {side} is unknown; add {option} CODE, such as en")
    if codes.src == codes.tgt:
        raise UserError(f"{run.path}: a package translates between two languages, but both are {codes.src}; see --to")
    if not run.load_vocabs().joint:
        advice = "export to ctranslate2 instead, or train with --set vocab.joint=true"
        raise UserError(f"{run.path}: Argos Translate has one vocabulary for both languages, this run two; {advice}")


def _metadata(languages: Languages, codes: Languages) -> dict[str, object]:
    names = {"from_name": language_name(languages.src), "to_name": language_name(languages.tgt)}
    versions: dict[str, object] = {"package_version": VERSION, "argos_version": ARGOS_VERSION}
    return versions | {"from_code": codes.src, "to_code": codes.tgt} | names


def _write(path: Path, folder: str, files: Mapping[str, Path], texts: Mapping[str, str]) -> None:
    """Write the files and texts, keyed by name, to an archive in the order of their names."""
    with ZipFile(path, "w") as archive:
        for name in sorted({*files, *texts}):
            info = ZipInfo(f"{folder}/{name}", EARLIEST)
            info.compress_type, info.external_attr, info.create_system = ZIP_DEFLATED, PERMISSIONS, 3
            if name in texts:
                archive.writestr(info, texts[name])
                continue
            info.file_size = files[name].stat().st_size
            with files[name].open("rb") as source, archive.open(info, "w") as target:
                shutil.copyfileobj(source, target)
