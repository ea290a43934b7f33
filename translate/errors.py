"""The one exception for what the user can mend."""


class UserError(Exception):
    """A mistake in a file, a setting or a command that the user can mend.

    Its text names the file, the line or the setting, and the way out. The command line prints it as one line and exits
    with status 2; a program that uses the library catches it.
    """
