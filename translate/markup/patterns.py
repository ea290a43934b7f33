"""What counts as markup in a line of plain text: tags, entities, placeholders, URLs, e-mail addresses and codes.

The patterns take linear time on any text: they are bounded, or begin where nothing that they repeat can precede them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from translate.markup.items import Token

NAME = r"[A-Za-z][\w:.-]{0,60}"
VALUE = r"""(?:"[^"<]{0,4000}"|'[^'<]{0,4000}'|[^\s"'<>=]{1,1000}(?=[\s>]))"""
FLAG = r"(?:checked|controls|disabled|download|hidden|loop|muted|open|readonly|required|selected)"
# `a<b and c>d` is no tag, because an attribute needs a value.
TAG = rf"<(?P<slash>/?)(?P<name>{NAME}|\d{{1,4}})(?:\s+(?:{NAME}\s?=\s?{VALUE}|{FLAG})){{0,50}}\s{{0,9}}(?P<empty>/?)>"
# Comments, processing instructions and document types.
COMMENT = r"(?:<!--[^<>]{0,4000}-->|<\?[A-Za-z][^<>]{0,4000}\?>|<![A-Za-z][^<>]{0,4000}>)"
ENTITY = r"&(?:[A-Za-z][A-Za-z0-9]{1,30}|[#]\d{1,7}|[#][xX][0-9A-Fa-f]{1,6});"
FIELD = r"[A-Za-z0-9_][\w.\-\[\]']{0,60}"
BRACES = rf"""
    \{{\{{[^{{}}]{{1,200}}\}}\}} | \{{%[^{{}}%]{{1,200}}%\}}                     # {{{{x}}}}, {{% x %}}
  | [$#%]? \{{ \s? (?:{FIELD})? \s? (?:![rsa])? (?::[^{{}}\s]{{0,30}})? \}}      # {{x}}, {{0:.2f}}, ${{x}}
  | \{{ \s? {FIELD} \s? , \s? (?:number|date|time) [^{{}}]{{0,60}} \}}           # ICU messages
  | \{{ \s? {FIELD} \s? , \s? (?:plural|select|selectordinal) , (?: [^{{}}]++ | \{{[^{{}}]*+\}} )*+ \}}
"""
PERCENT = r"""
    %\(\w{1,60}\)[-+0# ]?\d{0,3}(?:\.\d{1,2})?[diouxXeEfFgGcrs]                  # %(count)d
  | (?<![\d%])%(?:\d\$)?[-+0#]?(?:\d{1,3}|\*)?(?:\.\d{1,2})?
    (?:hh?|ll?|z)?[diouxXeEfFgGcs@](?![A-Za-z0-9_])                              # %s, %1$d, %.2f; but not in 5%s
  | %[A-Z_]{2,40}%                                                               # %PATH%
"""
URL = r"""(?<!\w)(?:(?:https?|ftp|file)://|www\.)[^\s<>"'`]*[^\s<>"'`.,;:!?)\]}»”’…]"""
EMAIL = r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])"
# A word of letters and digits with at least two digits that begins with a letter (ABC-123, but not 3D or 20th); #123.
CODE = r"""
    (?<![\w.\-/@#])(?=[A-Za-z][A-Za-z_\-/.]{0,60}\d[A-Za-z_\-/.]{0,60}\d)
    [A-Za-z0-9_]{1,60}(?:[-/._][A-Za-z0-9_]{1,60}){0,8}(?![\w@])
  | (?<![\w&#])[#]\d{1,12}(?!\w)
"""
ITEM = re.compile(
    rf"(?:{TAG}) | (?P<comment>{COMMENT}) | (?P<entity>{ENTITY})"
    rf" | (?P<noun> {URL} | {EMAIL} | {BRACES} | {PERCENT} | {CODE} )",
    re.VERBOSE,
)
VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)


def tokens(line: str) -> Iterator[Token]:
    """Split a line into text and items. What they are in the line, joined, is the line."""
    start = 0
    for found in ITEM.finditer(line):
        if found.start() > start:
            yield Token("text", line[start : found.start()], line[start : found.start()])
        yield _token(found)
        start = found.end()
    if start < len(line):
        yield Token("text", line[start:], line[start:])


def _token(found: re.Match[str]) -> Token:
    raw = found[0]
    if name := (found["name"] or "").lower():
        is_point = found["empty"] or (name in VOID and not found["slash"])
        return Token("point" if is_point else "close" if found["slash"] else "open", raw, name)
    if not found["entity"]:
        return Token("noun" if found["noun"] else "point", raw)
    spelled = html.unescape(raw)
    if spelled.isalnum():  # a letter of a word, as &eacute; is
        return Token("text", raw, spelled)
    is_invisible = spelled.isspace() or spelled == raw or not spelled.isprintable()
    return Token("point", raw, " " if spelled.isspace() else "") if is_invisible else Token("noun", raw, spelled)
