"""Exception for errors that the user can fix."""


class UserError(Exception):
    """An error in a file, a setting or the command line that the user can fix.

    The message names the file, line or setting and explains the fix. The CLI prints it and exits with status 2.
    """

    def __init__(self, *lines: str) -> None:
        """lines: one for each error, each printed as one line even if a name in it contains line breaks."""
        super().__init__("\n".join(lines))
        self.lines = lines
