"""The small helpers that all lessons share: paths, data sets, drawn pictures, download, models, device, checkpoints."""


class UserError(Exception):
    """Something that the person at the keyboard can mend. The message is one line: what is wrong, what to do.

    The programs of the course catch it in `main`, print that line on standard error and exit with code 2.
    """
