"""The one exception for a user's mistake."""


class UserError(Exception):
    """What the user gave cannot be used; the message is one line and says what to do.

    The command line prints it without a traceback and exits with status 2.
    """
