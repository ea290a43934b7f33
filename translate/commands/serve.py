"""The `translate serve` command."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from translate.commands import options
from translate.commands.named_runs import some_runs
from translate.errors import UserError
from translate.system.terminal_text import print_message

Page, Access, Limit = (partial(Option, rich_help_panel=group) for group in ("Page and address", "Access", "Limits"))
EPILOG = """\b
Examples:
  translate serve runs/toy --open
  translate serve runs/en-fr runs/fr-en --host 0.0.0.0 --allow-host translate.example.org
"""


def serve(
    runs: Annotated[
        list[Path], Argument(metavar="RUN", callback=some_runs, help="Run folders; the page compares them.")
    ],
    host: Annotated[str, Page(metavar="ADDRESS", help="Address to listen on; 0.0.0.0: all.")] = "127.0.0.1",
    port: Annotated[int, Page(min=0, max=65535, metavar="N", help="Port; 0: any free one.")] = 5000,
    open_page: Annotated[bool, Page("--open", help="Open the page in the browser.")] = False,
    api_key: Annotated[
        str,
        Access(
            metavar="KEY", envvar="TRANSLATE_API_KEY", help="Key that requests must contain; safer in the environment."
        ),
    ] = "",
    cors: Annotated[
        list[str] | None, Access(metavar="ORIGIN", help="Origin of other web pages to allow; repeatable.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, Access(metavar="NAME", help="Further name of this server, as in its URL; repeatable.")
    ] = None,
    max_characters: Annotated[
        int, Limit(min=1, max=10**7, metavar="N", help="Maximum characters per request.")
    ] = 50_000,
    max_queue: Annotated[
        int, Limit(min=1, max=10**5, metavar="N", help="Maximum number of waiting requests per run.")
    ] = 256,
    timeout: Annotated[float, Limit(min=0.1, max=86_400, metavar="S", help="Maximum seconds per request.")] = 60.0,
    rate_limit: Annotated[int, Access(min=0, metavar="N", help="Requests per minute and client; 0: any number.")] = 0,
    access_log: Annotated[bool, Page("--access-log/--no-access-log", help="Log each request.")] = True,
    engine: Annotated[
        Literal["torch", "ctranslate2"],
        options.Model(metavar="NAME", help="torch, or ctranslate2: translates faster; attention is shown by torch."),
    ] = "torch",
    precision: options.Precision = "float32",
    device: options.Device = "auto",
) -> None:
    """Show attention as you type, and serve translations over HTTP.

    The page and the interface, which is LibreTranslate's, are at the same address.
    """
    try:
        from translate.serve.app import Limits, Service
        from translate.serve.server import bind, url_of
        from translate.serve.server import serve as run_server
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("starlette", "uvicorn", "h11"):
            raise
        raise UserError(f"{package} is not installed; pip install 'translate-attention[serve]'") from None
    from translate.serve.access import LOOPBACK_NAMES, Access
    from translate.serve.runs import load_runs

    if host not in LOOPBACK_NAMES and not api_key:
        print_message(
            f"warning: anyone who can reach {host} can use this server; set TRANSLATE_API_KEY to require a key"
        )
    access = Access(host, allow_host or (), cors or (), api_key, rate_limit)
    with bind(host, port) as listener:
        print_message(f"loading {', '.join(map(str, runs))} …")
        served = load_runs(runs, device, engine, precision)
        service = Service(served, access, Limits(max_characters, max_queue, timeout))
        names = ", ".join(f"{run.folder} ({run.source.code} → {run.target.code})" for run in served)
        urls = dict.fromkeys([url_of(listener), url_of(listener, is_elsewhere=True)])
        greeting = f"serving {names} at {' and '.join(urls)}; Ctrl-C stops"
        run_server(service.guarded(access_log), listener, timeout, greeting, open_page, service.stop)
