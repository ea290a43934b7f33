"""Show a page in the user's browser."""

from __future__ import annotations

import os
import webbrowser
from contextlib import suppress
from pathlib import Path

from translate.system.terminal_text import print_message


def open_page(page: Path | str) -> None:
    """Open a file or an address in the browser. If there is none, print one line that says what to open.

    Text browsers count only if the variable BROWSER names one: they would take over the terminal, and run no scripts.
    Returns once the browser shows the page; a program that BROWSER names may take until it ends.
    """
    address = page.resolve().as_uri() if isinstance(page, Path) else page
    is_found = False
    with suppress(webbrowser.Error):
        is_text = type(webbrowser.get()) in (webbrowser.GenericBrowser, webbrowser.Elinks)
        is_found = bool(os.environ.get("BROWSER") or not is_text) and webbrowser.open(address)
    if not is_found:
        print_message(f"no browser found; open {address} in one, for example on another machine")
