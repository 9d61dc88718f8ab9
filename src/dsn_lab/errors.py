"""The one exception for a user's mistake, and two that tell a sweep what to do with a cell."""


class UserError(Exception):
    """What the user gave cannot be used; the message is one line and says what to do.

    The command line prints it without a traceback and exits with status 2.
    """


class PostponedError(UserError):
    """The cell cannot run now, for no fault of its own: a sweep comes back to it."""


class DiedError(Exception):
    """The cell's process ended without a word: a sweep tries again, a few times."""
