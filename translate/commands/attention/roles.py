"""translate attention roles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from translate.commands.attention.display import PngOption, SvgOption, pictures, report_picture
from translate.errors import UserError

if TYPE_CHECKING:
    from translate.attention.folder import About, AttentionFolder
    from translate.attention.maps import AttentionMaps
    from translate.model.attention_kinds import Head, KindName


def roles(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="What `translate decode --attention` wrote.")],
    kind: Annotated[
        Literal["cross", "encoder", "decoder"] | None, typer.Option(help="Which attention.  [default: all]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a head.")] = False,
    png: PngOption = None,
    svg: SvgOption = None,
) -> None:
    """What each head does over a whole text: a line for each, and a name where it is clear.

    \b
    entropy   of a row's weights, in nats; "of most": as share of what it would be if all keys were looked at alike
    </s>      share of the weight on the end of the sentence
    first     on the first key, which for the decoder is <s>
    diagonal  on the piece itself; decoder: on the piece just read; cross: on the same place of the source sentence
    previous  on the piece before that; next: on the one behind
    distance  pieces between the diagonal and what is looked at
    role      diagonal, previous-token, next-token, sink (</s> or first), broad, alignment (to what is translated); -
              where it is not clear. The limits and where they come from are in translate/attention/head_roles.py
    """
    from translate.attention.folder import AttentionFolder
    from translate.attention.head_roles import roles_of
    from translate.report.head_roles import roles_table, save_roles_picture

    places = pictures(png, svg)
    folder = AttentionFolder.open(path)
    found = roles_of(_maps(folder, kind), _known(folder.about))
    if not found:
        raise UserError(f"{path}: holds no maps; all its lines are empty")
    if as_json:
        for role in found:
            told = asdict(role)
            head, figures = told.pop("head"), told.pop("figures")
            print(json.dumps({"label": str(head), **head._asdict(), **told, **figures}))
    else:
        print(roles_table(found))
    for place in places:
        save_roles_picture(found, place)
        report_picture(place, ())


def _maps(folder: AttentionFolder, kind: KindName | None) -> Iterator[AttentionMaps]:
    for entry in folder.entries():
        if entry.file:
            maps = folder.maps(entry)
            yield maps if kind is None else replace(maps, stacks={kind: maps.stack(kind)})


def _known(about: About) -> Head | None:
    """The head that aligns best, where the run was told."""
    from translate.model.attention_kinds import Head

    layer, head = ((about.alignment or {}).get(name) for name in ("layer", "head"))
    return Head("cross", layer, head) if isinstance(layer, int) and isinstance(head, int) else None
