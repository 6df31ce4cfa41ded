"""python -m common.old_calls my_script.py: what has changed since the video, line by line.

Reads scripts (.py), notebooks (.ipynb) and whole folders, and runs nothing in them. For each outdated call it says what
the call does today, what to write instead, and which lesson explains it; and it names some mistakes that run silently.
A line that ends in the comment `# on purpose` is left alone.
"""

import argparse
import gc
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from common import UserError
from common.old_calls.facts import EFFECTS
from common.old_calls.proposal import proposal
from common.old_calls.search import Finding, find
from common.old_calls.source import Source, read

NOT_THEIRS = {"site-packages", "node_modules", "__pycache__"}


def main(argv: list[str] | None = None) -> int:
    """0: nothing found. 1: something found. 2: something could not be read."""
    options = _parser().parse_args(argv)
    gc.set_threshold(
        500_000
    )  # a syntax tree is many small objects: looking through them again and again is half the time
    effects, entries, files, problems = Counter(), [], 0, []
    for path in options.path:
        try:
            for file in scripts(Path(path)):
                try:
                    source, unread = read(file)
                except UserError as error:
                    problems.append(error)
                    continue
                findings = find(source)
                files, problems = files + 1, problems + unread
                effects.update(finding.row.effect for finding in findings)
                if options.json:
                    entries += as_data(source, findings)
                else:
                    print(proposal(source, findings) if options.diff else report(source, findings), end="")
        except UserError as error:
            problems.append(error)
    if options.json:
        print(json.dumps(entries, indent=2, ensure_ascii=False))
    elif not options.diff:
        print(summary(files, effects))
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 2 if problems else int(bool(effects))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m common.old_calls", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", nargs="+", help="a script, a notebook or a folder")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print the findings as data, for other programs")
    how.add_argument(
        "--diff", action="store_true", help="print the changes that are certain as a patch; no file is changed"
    )
    return parser


def scripts(path: Path) -> list[Path]:
    """The file itself, or all scripts and notebooks below a folder, without environments and hidden folders."""
    if path.is_file():
        if path.suffix not in (".py", ".pyw", ".ipynb"):
            raise UserError(f"{path} is no script (.py) and no notebook (.ipynb)")
        return [path]
    if not path.is_dir():
        raise UserError(f"no such file or folder: {path}")
    found = sorted(_below(path))
    if not found:
        raise UserError(f"no script (.py) and no notebook (.ipynb) in {path}")
    return found


def _below(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and name not in NOT_THEIRS and not Path(here, name, "pyvenv.cfg").exists()
        ]
        yield from (Path(here, name) for name in files if name.endswith((".py", ".pyw", ".ipynb")))


# ---- What is printed -------------------------------------------------------------------------------------------------


def report(source: Source, findings: list[Finding]) -> str:
    """Four lines for each finding; where a row was met before in this file, one."""
    first: dict[str, str] = {}
    lines = []
    for finding in findings:
        row, place = finding.row, source.place(finding.line)
        lines.append(f"{source.path}:{place}: {finding.call}")
        if row.id in first:
            lines[-1] += f"    (as in {first[row.id]})"
            continue
        first[row.id] = place if source.places else f"line {place}"
        prefix = f"{EFFECTS[row.effect]}: " if row.effect == "wrong" else ""  # an error and a warning say what they are
        lines.append(f"    {prefix}{row.says}")
        lines.append(f"    write {row.write}")
        lines.append(f"    {row.course}: {row.why}")
    return "".join(f"{line}\n" for line in lines)


def summary(files: int, effects: Counter) -> str:
    """One line: how many files and findings, and of which kinds."""
    text = f"{files} file{'s' * (files != 1)}"
    if not effects:
        return f"{text}: nothing found"
    kinds = ", ".join(f"{effects[effect]} × {words}" for effect, words in EFFECTS.items() if effects[effect])
    return f"{text}, {effects.total()} finding{'s' * (effects.total() != 1)}: {kinds}"


def as_data(source: Source, findings: list[Finding]) -> list[dict]:
    """The findings as plain values. `line` counts in the file; in a notebook, in its cell."""
    entries = []
    for finding in findings:
        row = finding.row
        cell, line = source.places[finding.line - 1] if source.places else (None, finding.line)
        entry = {"file": str(source.path), "line": line, "call": finding.call, "id": row.id, "effect": row.effect}
        entry |= {"today": row.says, "write": row.write, "why": row.why, "lesson": row.course}
        entries.append(entry | ({"cell": cell} if cell else {}))
    return entries


if __name__ == "__main__":
    sys.exit(main())
