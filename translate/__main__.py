"""Entry point for `translate` and `python -m translate`."""

import signal


def main() -> None:
    """Run the command-line interface. Ctrl-C during imports exits without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a background job may ignore SIGINT
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from translate.system.streams import reserve_descriptors

    reserve_descriptors()
    from translate.system.quick_start import imports
    from translate.system.torch_environment import set_torch_environment

    with imports():
        from translate import cli

    set_torch_environment()
    cli.main()


if __name__ == "__main__":
    main()
