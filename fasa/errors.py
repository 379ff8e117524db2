"""What went wrong on the user's side, said in one sentence."""


class UserError(Exception):
    """A mistake in the input (a file, a key, a value): the message names it and its mend; the command exits with 2."""
