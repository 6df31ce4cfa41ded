"""What the command lines of the capstone share: options, one clear line for bad input, and the exit codes."""

import argparse
import errno
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from common import UserError
from trainer import memory
from trainer.distributed import local_rank
from trainer.signals import Stopped


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser that reports bad input as a UserError, not with a page of usage; help shows the docstring.

    Only options that were typed, and those of set_defaults(), appear in the result.
    """

    def __init__(self, description: str | None):
        super().__init__(
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
        )

    def error(self, message: str):
        raise UserError(f"{message} (--help lists all options)")

    def check(self, values: dict, source: str, may_be_none: set[str]) -> None:
        """UserError that names the first option whose value in `values`, read from `source`, could not be typed."""
        for action in self._actions:
            name, value = action.dest, values.get(action.dest)
            if (
                name not in values
                or (value is None and name in may_be_none)
                or isinstance(action, argparse._HelpAction)
            ):
                continue
            is_flag = isinstance(action, argparse.BooleanOptionalAction)
            try:
                if is_flag != isinstance(value, bool):
                    raise ValueError
                if action.type and action.type(str(value)) != value:
                    raise ValueError
                if not action.type and not is_flag and not isinstance(value, str):
                    raise ValueError
                if action.choices and value not in action.choices:
                    raise ValueError
            except (ValueError, argparse.ArgumentTypeError):
                raise UserError(f"{source} cannot be used: --{name.replace('_', '-')} cannot be {value!r}") from None


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


def run_cli(program: str, run: Callable[[], int]) -> int:
    """What run() returns; or 2 for a UserError, a full disk or memory, 128 + the signal's number where one stopped it.

    These get one line on standard error. Where several processes train together, local rank 0 prints it.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
    except BrokenPipeError:  # the program that read the output has ended: `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13  # as if SIGPIPE had ended it
    except (RuntimeError, MemoryError) as error:
        if not (problem := memory.shortage(error)):
            raise
        code, message = 2, f"{program}: {problem}: end other programs that use it, or choose {memory.SMALLER}"
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO):
            raise
        where = f" {os.fsdecode(error.filename)}" if error.filename else ""
        code, message = 2, f"{program}: cannot use{where} ({error.strerror}): free some space or choose another place"
    if local_rank() == 0:
        print(message, file=sys.stderr)
    else:
        time.sleep(3)  # torchrun kills all processes when one has ended: let the one that prints be the first
    return code
