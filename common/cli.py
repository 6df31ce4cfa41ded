"""What the command lines of train.py and test.py share: one clear line for bad input, and the exit codes."""

import argparse
import math
import sys
from collections.abc import Callable

from common import UserError


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


def exit_code(program: str, run: Callable[[], int], on_interrupt: str = "stopped") -> int:
    """What run() returns; 2 after one line on standard error for a UserError; 130 after Ctrl-C."""
    try:
        return run()
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{program}: {on_interrupt}", file=sys.stderr)
        return 130
