"""The changes that are certain, as a patch. Nothing is written to anybody's file."""

import ast
import difflib
from collections.abc import Iterator

from common.old_calls.search import Finding
from common.old_calls.source import Source

Edit = tuple[int, int, int, int, str]  # from (line, column) to (line, column), columns in bytes, and the new text


def proposal(source: Source, findings: list[Finding]) -> str:
    """A patch in the format of `diff -u` with all certain changes; "" where there is none."""
    if source.places or source.old_syntax:  # a notebook's file is no script, and Python 2 cannot be tried
        return ""
    lines, last = list(source.lines), (len(source.lines) + 1, 0)
    edits = {edit for finding in findings if finding.node is not None for edit in _edits(source, finding)}
    for line, column, end_line, end_column, text in sorted(edits, reverse=True):
        if (end_line, end_column) > last or line != end_line:
            continue  # it overlaps with the one before, or runs over several lines
        raw = lines[line - 1].encode()
        lines[line - 1] = (raw[:column] + text.encode() + raw[end_column:]).decode()
        last = (line, column)
    name = source.path.as_posix()
    ended = [f"{line}\n" for line in source.lines[:-1]] + ([source.lines[-1]] if source.lines[-1] else [])
    today = [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    patch = difflib.unified_diff(ended, today, f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in patch)


def _edits(source: Source, finding: Finding) -> Iterator[Edit]:
    """The edits of one finding. The kinds, as `fix` in facts.toml names them:

    node      a text for the whole expression; {owner} is what stands before the last dot, {0} the first argument
    name      a full name for the name
    last      a new last part of the name
    keyword   a new name for the keyword argument
    argument  a text for the whole keyword argument
    drop      a keyword argument that goes
    add       a further argument
    first     a new beginning of the first argument, which is a text
    """
    node, fix, row = finding.node, finding.row.fix, finding.row
    call = node if isinstance(node, ast.Call) else None
    if not fix or (row.fix.get("only") and not _is_simple(row.fix["only"], call)):
        return
    if "node" in fix:
        yield from _whole(source, node, fix["node"])
    elif "name" in fix or "last" in fix:
        yield from _name(source, node, fix, row.names)
    elif "first" in fix and isinstance(call.args[0], ast.Constant):
        yield _over(call.args[0], repr(call.args[0].value.replace("seaborn", fix["first"], 1)).replace("'", '"'))
    elif "add" in fix and call.args:
        end = (call.keywords or call.args)[-1]
        yield end.end_lineno, end.end_col_offset, end.end_lineno, end.end_col_offset, f", {fix['add']}"
    elif call:
        for keyword in call.keywords:
            if keyword.arg == fix.get("drop"):
                before = [part for part in (*call.args, *call.keywords) if part.end_col_offset < keyword.col_offset]
                if before and before[-1].end_lineno == keyword.lineno:
                    yield keyword.lineno, before[-1].end_col_offset, keyword.end_lineno, keyword.end_col_offset, ""
            elif keyword.arg in row.has and "keyword" in fix:
                end = keyword.col_offset + len(keyword.arg.encode())
                yield keyword.lineno, keyword.col_offset, keyword.lineno, end, fix["keyword"]
            elif keyword.arg in row.has and "argument" in fix:
                yield _over(keyword, fix["argument"])


def _is_simple(only: str, call: ast.Call | None) -> bool:
    """Whether the call has the form for which the change is certain."""
    if call is None:
        return False
    match only:
        case "no argument":
            return not call.args and not call.keywords
        case "one argument":
            return (
                len(call.args) == 1
                and not call.keywords
                and isinstance(call.args[0], ast.Name | ast.Call | ast.Attribute)
            )
        case "pretrained":
            return not any(keyword.arg == "pretrained_backbone" for keyword in call.keywords)
    raise ValueError(f"facts.toml: only = {only!r} is not known")


def _over(node: ast.AST, text: str) -> Edit:
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset, text


def _whole(source: Source, node: ast.AST, template: str) -> Iterator[Edit]:
    words = {"source": ast.unparse(node)}
    if "{torch}" in template:
        words["torch"] = next((local for local, full in source.imports.items() if full == "torch"), None)
        if words["torch"] is None:
            return
    if isinstance(node, ast.Expr):
        node = node.value
        words["source"] = ast.unparse(node)
    match node:
        case ast.Subscript(value=ast.Attribute(value=owner)) | ast.Call(func=ast.Attribute(value=owner)):
            words["owner"] = ast.unparse(owner)
    if isinstance(node, ast.Call) and node.args:
        words["0"] = ast.unparse(node.args[0])
    text = template
    for name, word in words.items():
        text = text.replace(f"{{{name}}}", word)
    yield _over(node, text)


def _name(source: Source, node: ast.AST, fix: dict, names: tuple[str, ...]) -> Iterator[Edit]:
    """A new name, or a new last part of it: in a call, in an import, or wherever it stands."""
    if isinstance(node, ast.ImportFrom):
        if "last" in fix and "." not in fix["last"]:
            for alias in node.names:
                if f"{node.module}.{alias.name}" in names:
                    yield (
                        alias.lineno,
                        alias.col_offset,
                        alias.lineno,
                        alias.col_offset + len(alias.name.encode()),
                        fix["last"],
                    )
        return
    name = node.func if isinstance(node, ast.Call) else node
    if "name" in fix:
        first, _, rest = fix["name"].partition(".")
        local = next((local for local, full in source.imports.items() if full == first), None) if rest else first
        if local and isinstance(name, ast.Attribute):
            yield _over(name, f"{local}.{rest}" if rest else local)
    elif isinstance(name, ast.Attribute):
        last = fix["last"]
        if last == "{data}":  # train_data and test_data are data now, train_labels and test_labels targets
            last = "data" if name.attr.endswith("data") else "targets"
        begin = name.end_col_offset - len(name.attr.encode())
        yield name.end_lineno, begin, name.end_lineno, name.end_col_offset, last
    elif isinstance(name, ast.Name) and "." not in fix["last"]:
        full = source.imports.get(name.id, "")
        if full in names and full.split(".")[-1] == name.id:  # else it was imported under a different name, which stays
            yield _over(name, fix["last"])
