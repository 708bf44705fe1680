"""The one error that data raises for a user to read."""


class DataError(ValueError):
    """Something about the user's data is wrong; the message names the file or option and the remedy, in one sentence."""
