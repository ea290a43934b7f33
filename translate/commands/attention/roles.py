"""The `translate attention roles` command: statistics and roles of attention heads."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Annotated

from typer import Option

from translate.commands import options
from translate.commands.attention.display import pictures, report_picture
from translate.errors import UserError
from translate.model.attention_kinds import Head, KindName
from translate.system.terminal_text import print_message, print_result


def roles(
    path: options.MapsFolder,
    kind: Annotated[
        KindName | None, Option(metavar="KIND", help="cross, encoder, decoder or self.  [default: all]")
    ] = None,
    as_json: Annotated[bool, options.Files("--json", help="Print one JSON object per head.")] = False,
    png: options.Png = None,
    svg: options.Svg = None,
) -> None:
    """Summarize each attention head over a text, and name its role if it is clear.

    \b
    entropy   mean entropy of the rows, in nats; normalized: 1 means uniform attention. For it and the distance, rows
              that sum to less than 1 (cross in a decoder-only model) are divided by their sums
    </s>      share of the weight on the end-of-sentence token
    first     share on the first key, which is <s> in the decoder
    diagonal  share on the same piece; decoder: on the piece just read; cross: on the same relative position
    previous  share on the piece before the diagonal; next: on the piece after it
    distance  mean distance from the diagonal, in pieces
    role      diagonal, previous-token, next-token, attention sink (</s> or first), broad, alignment, or - if unclear;
              translate/attention/head_roles.py lists the thresholds and their sources
    """
    from translate.attention.folder import AttentionFolder
    from translate.attention.head_roles import roles_of
    from translate.report.head_roles import roles_table, save_roles_picture

    files = pictures(png, svg, None, path)
    folder = AttentionFolder.open(path)
    maps = (folder.maps(entry) for entry in folder.entries() if entry.file)
    if kind:
        maps = (replace(each, stacks={kind: each.stack(kind)}) for each in maps)
    layer, head = ((folder.about.alignment or {}).get(name) for name in ("layer", "head"))  # the best alignment head
    aligned_head = Head("cross", layer, head) if isinstance(layer, int) and isinstance(head, int) else None
    found = roles_of(maps, aligned_head)
    if not found:
        raise UserError(f"{path}: contains no maps; all its lines are empty")
    if as_json:
        for role in found:
            fields = asdict(role)
            head, figures = fields.pop("head"), fields.pop("figures")
            print_result(json.dumps({"label": str(head), **head._asdict(), **fields, **figures}))
    else:
        print_result(roles_table(found))
    if min(role.num_rows for role in found) < 300:
        print_message("roles found in so few rows may be chance; use maps of some hundred sentences")
    for file in files:
        save_roles_picture(found, file)
        report_picture(file, ())
