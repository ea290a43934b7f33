"""Reading attention folders: any damage is reported in one line that names the file."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from translate import cli
from translate.attention.folder import AttentionFolder
from translate.attention.maps import AttentionMaps, Stack
from translate.errors import UserError
from translate.system.checked_json import write_record


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 garbage"])
def test_a_file_without_maps_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "000001.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"000001\.npz: damaged, or not an attention file"):
        AttentionMaps.load(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(UserError, match=r"000001\.npz: damaged, or not an attention file"):
        AttentionMaps.load(path)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("cross", np.zeros(3, np.float32)),
        ("cross", np.zeros((1, 1, 2, 4), np.float32)),
        ("cross", np.zeros((0, 1, 2, 3), np.float32)),
        ("encoder", np.zeros((1, 1, 3, 3), "U1")),
        ("source", np.zeros((3, 1), "U1")),
        ("target", np.zeros(2)),
        ("target", np.array(["</s>", "c"])),
        ("target", np.array(["</s>", "</s>"])),
        ("cross", np.full((1, 1, 2, 3), np.nan, np.float32)),
        ("cross", np.full((1, 1, 2, 3), np.inf, np.float32)),
        ("cross", np.full((1, 1, 2, 3), -0.1, np.float32)),
        ("cross_layers", np.array([-1])),
        ("cross", np.array([{}])),
    ],
)
def test_a_malformed_array_is_named(tmp_path: Path, name: str, array: np.ndarray) -> None:
    arrays = {
        "source": np.array(["a", "b", "</s>"]),
        "target": np.array(["c", "</s>"]),
        "encoder": np.zeros((1, 1, 3, 3), np.float32),
        "decoder": np.zeros((1, 1, 2, 2), np.float32),
        "cross": np.zeros((1, 1, 2, 3), np.float32),
    }
    path = tmp_path / "000001.npz"
    np.savez(path, **arrays)
    AttentionMaps.load(path)
    np.savez(path, **{**arrays, name: array})
    with pytest.raises(
        UserError, match=r"000001\.npz: damaged, or not an attention file written by `translate decode --attention` \("
    ):
        AttentionMaps.load(path)


def test_a_file_that_decompresses_to_a_huge_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "000001.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cross.npy", bytes(10**7))
    with pytest.raises(UserError, match=r"000001\.npz: .* \(its uncompressed size is implausibly large"):
        AttentionMaps.load(path)


def test_an_array_that_claims_more_than_the_available_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "000001.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("cross.npy", "w") as array:
        header = {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6, 10**3)}
        np.lib.format.write_array_header_1_0(array, header)
    with pytest.raises(UserError, match=r"000001\.npz: damaged, or not an attention file"):
        AttentionMaps.load(path)


def stored_array(header: bytes, content: bytes) -> bytes:
    """Return an array in NumPy's format with any header."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


TYPE, SHAPE = b"{'descr': '%s', 'fortran_order': False, ", b"'shape': (%s), }\n"


@pytest.mark.parametrize(
    ("header", "content"),
    [
        (TYPE % b"<f4" + b"'shape': (3,\n", b""),  # numpy: TokenError
        (TYPE % b"<f4" + SHAPE % b"99999999999999999999,", b""),  # OverflowError
        (TYPE % b"<f4" + SHAPE % (b"(" * 5000), b""),
        (TYPE % b"<f4" + SHAPE % b"3,", bytes(8)),
        (TYPE % b"<f4" + SHAPE % b"-3,", bytes(12)),
        (TYPE % b"|O" + SHAPE % b"1,", b"cos\nsystem\n(S'true'\ntR."),
        (TYPE % b"<U1" + SHAPE % b"1,", struct.pack("<I", 0x110000)),  # SystemError
        (TYPE % b"<U1" + SHAPE % b"1,", struct.pack("<I", 0xD800)),
        (TYPE % b"<U999999999" + SHAPE % b"999999999,", b""),
        (b"{'shape': __import__('os').abort()}\n", b""),
    ],
)
def test_an_array_with_a_hostile_header_or_text_is_refused(tmp_path: Path, header: bytes, content: bytes) -> None:
    path = tmp_path / "000001.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("source.npy", stored_array(header, content))
    with pytest.raises(UserError, match=r"^[^\n]*000001\.npz: damaged, or not an attention file[^\n]*$"):
        AttentionMaps.load(path)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_way_in_which_numpy_stores_maps_is_read(tmp_path: Path, dtype: str, order: Any) -> None:
    weights = np.random.default_rng(1).random((2, 3, 2, 3)).astype(dtype, order=order)
    words = {"source": np.array(["é", "𝄞 a", "</s>"]).astype(f"{dtype[0]}U4"), "target": np.array(["c", "</s>"])}
    np.savez(path := tmp_path / "000001.npz", cross=weights, cross_layers=np.array([0, 2]), **words)
    maps = AttentionMaps.load(path)
    assert (maps.source, maps.target) == (("é", "𝄞 a", "</s>"), ("c", "</s>"))
    assert maps.stacks["cross"].layers == (0, 2)
    assert np.array_equal(maps.cross, weights.astype(np.float32))


ABOUT: dict[str, Any] = {
    "run": "toy",
    "weights": "",
    "num_encoder_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 3,
    "kinds": ["cross"],
    "layers": None,
    "precision": "float32",
    "dtype": "float32",
    "alignment": None,
}
SHAPED = {name: value for name, value in ABOUT.items() if not name.startswith("num_")} | {"shapes": {"cross": [2, 3]}}
ENTRY = {"id": 1, "file": "000001.npz", "source": "a", "translation": "b", "score": -1.0, "warnings": []}


def write(
    folder: Path, about: dict[str, Any] = ABOUT, entry: object = ENTRY, num_heads: int = 3, version: int = 2
) -> Path:
    folder.mkdir(exist_ok=True)
    index = json.dumps(entry).encode() + b"\n"
    (folder / "index.jsonl").write_bytes(index)
    write_record(folder / "about.json", {**about, "index": hashlib.sha256(index).hexdigest()}, version)
    weights = np.full((2, num_heads, 2, 2), 0.5, np.float32)
    AttentionMaps(("▁a", "</s>"), ("▁b", "</s>"), {"cross": Stack(weights, (0, 1))}).save(folder / "000001.npz")
    return folder


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {**ABOUT, "more": 1},
        {**ABOUT, "num_heads": 10**18},
        {**ABOUT, "num_decoder_layers": 10**18},
        {**ABOUT, "num_decoder_layers": True},
        {**ABOUT, "kinds": []},
        {**ABOUT, "kinds": "cross"},
        {**ABOUT, "kinds": ["crosses"]},
        {**ABOUT, "layers": ["0"]},
        {**ABOUT, "precision": "float3"},
        {**ABOUT, "dtype": None},
        {**ABOUT, "alignment": []},
        {**SHAPED, "shapes": {"encoder": [2, 3]}},
        {**SHAPED, "shapes": {"cross": [2]}},
        {**SHAPED, "shapes": {"cross": [2, 0]}},
        {**SHAPED, "shapes": {"crosses": [2, 3]}},
    ],
)
def test_errors_in_about_json_are_reported_as_damage(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"about\.json: damaged; recreate the folder"):
        AttentionFolder.open(write(tmp_path, wrong, version=3 if "shapes" in wrong else 2))


def test_folders_name_the_maps_of_each_kind_of_attention(tmp_path: Path) -> None:
    """Format 2, which test_formats reads from a file, too, knew only Transformers."""
    for about, version in (ABOUT, 2), (SHAPED, 3):
        folder = AttentionFolder.open(write(tmp_path, about, version=version))
        assert folder.about.shapes["cross"] == (2, 3)
        assert folder.maps_of_line(1).cross.shape == (2, 3, 2, 2)


def test_another_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"about\.json: format 4, but this version reads format 3"):
        AttentionFolder.open(write(tmp_path, {"new": []}, version=4))
    (tmp_path / "about.json").write_text(json.dumps({"format": 1, **ABOUT}))  # as it was before there were checksums
    with pytest.raises(UserError, match=r"about\.json: format 1, but this version reads format 3; recreate the folder"):
        AttentionFolder.open(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [[], {}, {**ENTRY, "id": "1"}, {**ENTRY, "warnings": [1]}, {**ENTRY, "source": None}, {**ENTRY, "score": math.inf}],
)
def test_a_damaged_line_of_the_index_is_named(tmp_path: Path, wrong: object) -> None:
    folder = AttentionFolder.open(write(tmp_path, entry=wrong))
    with pytest.raises(UserError, match=r"index\.jsonl: line 1 is damaged"):
        list(folder.entries())
    (tmp_path / "index.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(UserError, match=r"index\.jsonl: damaged"):
        list(folder.entries())


@pytest.mark.parametrize("name", ["../000001.npz", "/etc/passwd", "page/000001.npz"])
def test_no_file_is_read_outside_the_folder(tmp_path: Path, name: str) -> None:
    folder = AttentionFolder.open(write(tmp_path, entry={**ENTRY, "file": name}))
    with pytest.raises(UserError, match="must be a file name without a path"):
        folder.maps(next(folder.entries()))


@pytest.mark.parametrize("command", [["attention"], ["attention", "roles"], ["align"]])
def test_maps_of_another_model_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], command) -> None:
    assert cli._run([*command, str(write(tmp_path / "sound"))]) == 0
    capsys.readouterr()
    assert cli._run([*command, str(write(tmp_path / "other", num_heads=2))]) == 2
    assert "000001.npz: the kinds, layers or heads in this file do not match about.json" in capsys.readouterr().err


@pytest.fixture(scope="module")
def written_maps(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path, other_run: Path) -> list[Path]:
    """The maps of two lines, by two runs."""
    folders = [tmp_path_factory.mktemp("maps") / run.name for run in (tiny_run, other_run)]
    for run, folder in zip((tiny_run, other_run), folders, strict=True):
        assert cli._run(["decode", str(run), "I love apples.", "She sings.", "--attention", str(folder)]) == 0
    return folders


@pytest.mark.parametrize("origin", ["another line", "another run", "a copy with another weight"])
@pytest.mark.parametrize(
    "command",
    [
        "attention MAPS",
        "attention MAPS --html PAGE",
        "attention roles MAPS",
        "attention MAPS --compare SOUND",
        "align MAPS",
    ],
)
def test_a_map_file_that_was_not_written_for_its_line_is_refused(
    tmp_path: Path, written_maps: list[Path], capsys: pytest.CaptureFixture[str], origin: str, command: str
) -> None:
    sound, foreign = written_maps
    folder = shutil.copytree(sound, tmp_path / "maps")
    places = {"MAPS": folder, "SOUND": sound, "PAGE": tmp_path / "page.html"}
    arguments = [str(places.get(part, part)) for part in command.split()]
    assert cli._run(arguments) == 0
    file = folder / "000001.npz"
    if origin == "another line":
        shutil.copy(folder / "000002.npz", file)
    elif origin == "another run":
        shutil.copy(foreign / "000001.npz", file)
    else:
        maps = AttentionMaps.load(file)
        maps.cross[0, 0, 0] = maps.cross[0, 0, 0, ::-1]
        maps.save(file)
    capsys.readouterr()
    assert cli._run(arguments) == 2
    assert f"{file}: does not match its recorded checksum" in capsys.readouterr().err


def test_a_line_without_maps_is_named(tmp_path: Path) -> None:
    folder = AttentionFolder.open(write(tmp_path, entry={**ENTRY, "file": None}))
    for line in 1, 2:  # empty, and beyond the end
        with pytest.raises(UserError, match=rf"line {line} has no maps; choose another line with --sentence"):
            folder.maps_of_line(line)


def test_a_file_in_place_of_a_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"000001\.npz: not a folder; pass a folder"):
        AttentionFolder.open(write(tmp_path) / "000001.npz")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["attention", "verfy", "MAPS", "x"], "attention verfy: no such folder or command; did you mean verify?"),
        (["attention", "MAPS/000001.npz", "--sentence", "2"], "000001.npz contains one line; pass the folder"),
        (["attention", "MAPS", "--html", "x.html", "--png", "x.png"], "--html writes a page with all maps"),
        (["attention", "MAPS", "--html", "x.html", "--compare", "MAPS", "--svg", "x.svg"], "--html writes a page"),
        (["align", "MAPS", "--json"], "--json: requires gold links; add --gold FILE"),
        (["align", "MAPS", "--one-indexed"], "--one-indexed: requires gold links; add --gold FILE"),
        (
            ["decode", "RUN", "a", "--attention-layers", "0"],
            "--attention-precision and --open need --attention",
        ),
        (["decode", "RUN", "a", "--attention", "MAPS", "--attention-layers", "-1"], "not a list of layer numbers"),
        (["score", "RUN", "--src", "a", "--tgt", "b", "--attention-kinds", "cross"], "need --attention DIR"),
    ],
)
def test_an_option_without_effect_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], message: str
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").touch()
    write(tmp_path)
    assert cli._run([part.replace("MAPS", str(tmp_path)).replace("RUN", str(run)) for part in command]) == 2
    written = capsys.readouterr()
    assert message in written.err
    assert (written.out, written.err.count("\n")) == ("", 1)


@pytest.mark.parametrize(("place", "value"), [(0, 1), (2, 77)], ids=["encrypted", "packed in an unknown way"])
def test_an_archive_that_cannot_be_decompressed_is_named(tmp_path: Path, place: int, value: int) -> None:
    """place: position in a file header: first the flags, then the compression method."""
    path = tmp_path / "000001.npz"
    np.savez(path, source=np.array(["a", "</s>"]))
    content = bytearray(path.read_bytes())
    for header, start in (b"PK\x03\x04", 6), (b"PK\x01\x02", 8):
        at = content.index(header) + start + place
        content[at : at + 2] = value.to_bytes(2, "little")
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"000001\.npz: damaged, or not an attention file"):
        AttentionMaps.load(path)
