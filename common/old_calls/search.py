"""Finds the rows of the table in a script."""

import ast
import fnmatch
import functools
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from common.old_calls import mistakes, rules
from common.old_calls.facts import Row, table
from common.old_calls.source import Source, text_of

# A line that ends in such a comment, or stands below one, is left alone: it is wrong or outdated on purpose.
MARK = re.compile(r"#[^#'\"]*\bon purpose\b")


@dataclass(frozen=True)
class Finding:
    """An old call or a mistake, in a line of a script."""

    row: Row
    node: ast.AST | None  # None for what only Python 2 can read
    line: int
    column: int
    call: str  # as it stands there, shortened


def find(source: Source) -> list[Finding]:
    """All findings, in the order of the lines; none for lines that say "on purpose"."""
    found = [Finding(table()[0][row], None, line, 0, shown(source, line)) for row, line in source.old_syntax]
    seen = set()
    for row, node in _nodes(source):
        if row.effect == "fails" and source.is_provided_for(node):
            continue
        if (row.id, node.lineno, node.col_offset) not in seen:
            seen.add((row.id, node.lineno, node.col_offset))
            found.append(Finding(row, node, node.lineno, node.col_offset, shown(source, node.lineno, node)))
    marked = {i for i, line in enumerate(source.lines, start=1) if MARK.search(line)}
    marked |= {i + 1 for i in marked if source.lines[i - 1].lstrip().startswith("#")}
    return sorted(
        (finding for finding in found if not marked & set(_lines(finding))),
        key=lambda finding: (finding.line, finding.column, finding.row.id),
    )


def _lines(finding: Finding) -> range:
    """The lines of the finding; of a loop or a class only the first."""
    node = finding.node
    long = node is None or isinstance(node, ast.For | ast.While | ast.ClassDef | ast.FunctionDef | ast.With | ast.If)
    return range(finding.line, (finding.line if long else node.end_lineno) + 1)


def _nodes(source: Source) -> Iterator[tuple[Row, ast.AST]]:
    """Each row with each place where it is found."""
    names, wild, methods, modules, ruled = _index()
    source.is_known = lambda name: name in names or any(pattern.fullmatch(name) for pattern, _ in wild)

    for node in source.nodes[ast.Name] + source.nodes[ast.Attribute]:
        if (full := source.full_name(node)) is None:
            continue
        call = node.up if isinstance(node.up, ast.Call) and node.up.func is node else None
        rows = list(names.get(full, ()))
        if call:
            rows += [row for pattern, row in wild if pattern.fullmatch(full)]
        for row in rows:
            if call and row.use == "call" and _fits(row, call):
                yield row, call
            elif row.use == "any":
                yield row, node

    for name, rows in methods.items():
        for call in source.methods(name):
            if not isinstance(call.func.value, ast.Name) or call.func.value.id not in ("self", "cls"):
                yield from (
                    (row, call) for row in rows if (not row.needs or row.needs in source.packages) and _fits(row, call)
                )

    for node in source.nodes[ast.Import] + source.nodes[ast.ImportFrom]:
        yield from _in_import(node, names, modules)

    for row, rule in ruled:
        for node in rule(source):
            yield row, node


def _in_import(node: ast.Import | ast.ImportFrom, names: dict, modules: dict) -> Iterator[tuple[Row, ast.AST]]:
    for alias in node.names:
        inside = getattr(node, "module", None)
        if getattr(node, "level", 0):
            return
        full = f"{inside}.{alias.name}" if inside else alias.name
        for module, rows in modules.items():
            if f"{full}.".startswith(f"{module}."):
                yield from ((row, node) for row in rows)
        if inside:
            yield from ((row, node) for row in names.get(full, ()) if row.use == "any")


def _fits(row: Row, call: ast.Call) -> bool:
    """Whether a call has the arguments that the row is about."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    starred = None in given or any(isinstance(argument, ast.Starred) for argument in call.args)
    values = [text_of(given[name]) for name in row.has if name in given]
    if row.has and not any((not row.value or value in row.value) and value not in row.other_value for value in values):
        return False
    if row.lacks and (starred or row.lacks in given or len(call.args) > row.place):
        return False
    if row.first and not (call.args and any(fnmatch.fnmatchcase(text_of(call.args[0]), form) for form in row.first)):
        return False
    return row.args == (0, 99) or (not starred and row.args[0] <= len(call.args) <= row.args[1])


@functools.cache
def _index():
    """The rows by what to look for: names, names with a *, methods, modules, and functions of their own."""
    names, methods, modules = defaultdict(list), defaultdict(list), defaultdict(list)
    wild, ruled = [], []
    for row in table()[0].values():
        for name in row.names:
            if "*" in name:
                wild.append((re.compile(re.escape(name).replace(r"\*", r"\w+")), row))
            else:
                names[name].append(row)
        for index, keys in ((methods, row.methods), (modules, row.modules)):
            for key in keys:
                index[key].append(row)
        if rule := rules.RULES.get(row.id) or mistakes.RULES.get(row.id):
            ruled.append((row, rule))
    return names, wild, methods, modules, ruled


def shown(source: Source, line: int, node: ast.AST | None = None) -> str:
    """The call as it stands there, in at most 90 characters."""
    text = source.lines[line - 1].strip()
    if node is not None and not isinstance(node, ast.stmt):
        last = node.end_col_offset if node.end_lineno == line else None
        piece = source.lines[line - 1].encode()[node.col_offset : last].decode(errors="replace").strip()
        text = piece if len(piece) > 3 else text
    return text if len(text) <= 90 else text[:87] + "..."
