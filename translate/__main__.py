"""`python -m translate` is the command `translate`."""

import signal


def main() -> None:
    """The console script. A signal that comes while the commands are imported ends the process without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # and is not ignored, as in a background job
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from translate import cli

    cli.main()


if __name__ == "__main__":
    main()
