"""What the command lines of train.py, speed.py and test.py share: one clear line for bad input, and the exit codes."""

import argparse
import errno
import math
import os
import sys
import time
from collections.abc import Callable

from common import UserError
from common.distributed import local_rank
from common.stopping import Stopped


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser that reports bad input as a UserError, not with a page of usage; help shows the docstring.

    Only options that were typed appear in the result, so that "not given" can be told from "given as the default".
    """

    def __init__(self, description: str | None):
        how = argparse.RawDescriptionHelpFormatter
        super().__init__(
            description=description, formatter_class=how, argument_default=argparse.SUPPRESS, allow_abbrev=False
        )

    def error(self, message: str):
        raise UserError(f"{message} (--help lists all options)")


def number(kind: type, least: float, most: float = math.inf) -> Callable[[str], float]:
    """A parser of one option's value: `kind` (int or float), from least to most."""

    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most or math.isinf(value):
            span = f"from {least} to {most}" if math.isfinite(most) else f"of at least {least}"
            raise argparse.ArgumentTypeError(f"{text!r} is no {'whole ' if kind is int else ''}number {span}")
        return value

    return parse


def exit_code(program: str, run: Callable[[], int]) -> int:
    """What run() returns; or 2 for a UserError or a full disk, 128 + the signal's number where one stopped it.

    These get one line on standard error. Where several processes train together, one of each machine speaks for all.
    """
    try:
        code = run()
        sys.stdout.flush()
        return code
    except UserError as error:
        code, message = 2, f"{program}: {error}"
    except Stopped as error:
        code, message = 128 + error.signum, f"\n{program}: {error}"
    except KeyboardInterrupt:
        code, message = 130, f"\n{program}: stopped"
    except BrokenPipeError:  # whoever read the output has gone: `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13  # as if SIGPIPE had ended it
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO):
            raise
        where = f" {os.fsdecode(error.filename)}" if error.filename else ""
        code, message = 2, f"{program}: cannot use{where} ({error.strerror}): free some space or choose another place"
    if local_rank() == 0:
        print(message, file=sys.stderr)
    else:
        time.sleep(3)  # torchrun kills all processes when one has ended: let the one that speaks be the first
    return code
