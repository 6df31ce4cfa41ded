"""Somebody's script or notebook: its text, its syntax tree, and which name means what in it. Nothing in it is run."""

import ast
import builtins
import contextlib
import functools
import json
import re
import sys
import tokenize
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

from common import UserError

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.Module)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

MAGIC = re.compile(r"^(\s*)(?:[%!?].*|\w[\w.]*\?{1,2}\s*$|\w+\s*=\s*[!%]\w.*)")  # what only a notebook understands
LIBRARIES = {*sys.stdlib_module_names, "torch", "torchvision", "numpy", "matplotlib", "PIL", "tqdm", "pylab", "cv2"}

# What Python 2 could read and Python 3 cannot: row -> pattern, and the same line for a parser of today.
OLD_SYNTAX = {
    "print-statement": (
        re.compile(r"^((?:[^#'\"]*[:;])?\s*)print[ \t]+(?:>>)?(?![=.()\]}:,])(?!in\b|is\b|if\b)"),
        r"\1print;",
    ),
    "exec-statement": (re.compile(r"^(\s*)exec[ \t]+(?=['\"\w])"), r"\1exec;"),
    "except-comma": (re.compile(r"^(\s*except\s+[\w.]+|\s*except\s+\([^)]*\))\s*,\s*(\w+)\s*:"), r"\1 as \2:"),
    "raise-comma": (re.compile(r"^(\s*raise\s+[\w.]+)\s*,"), r"\1;"),
    "async-keyword": (re.compile(r"\basync\s*=\s*(?=True|False|\w)"), "non_blocking="),
    "angle-brackets": (re.compile(r"<>"), "!="),
}


class Source:
    """A script that was read: `lines`, `tree`, and answers about names."""

    def __init__(self, path: Path, text: str, places: list[tuple[int, int]] | None = None):
        self.path, self.places = path, places
        self.text, self.lines = text, text.split("\n")
        self.tree, self.old_syntax = parse(self.lines, path)
        self.nodes: dict[type, list] = defaultdict(list)  # every node, by its kind
        self.imports: dict[str, str] = {}  # local name -> full name
        self.stars: list[str] = []  # modules of `from … import *`
        self.packages: set[str] = set()  # the first parts of all imported names
        self.stores: dict[ast.AST, dict[str, int]] = defaultdict(dict)  # scope -> name -> line where it is first set
        self.names_set: set[str] = set()
        self.values: dict[str, list[ast.expr]] = defaultdict(list)  # "self.model" -> what is assigned to it
        self.called: dict[str, set[str]] = defaultdict(set)  # "self.model" -> the methods of it that are called
        self._classes: dict[tuple[str, ...], list[ast.ClassDef]] = {}
        self.own_stars = False  # whether such a module is the writer's own, so that any name may come from it
        self.is_known: Callable[[str], bool] = lambda name: (
            False
        )  # says of names behind a star whether we look for them
        self._walk()

    # ---- Reading the tree once ---------------------------------------------------------------------------------------

    def _walk(self) -> None:
        self.tree.up = None
        todo = [self.tree]
        while todo:
            node = todo.pop()
            self.nodes[type(node)].append(node)
            self._note(node)
            children = list(ast.iter_child_nodes(node))
            for child in children:
                child.up = node
            todo.extend(reversed(children))

    def _note(self, node: ast.AST) -> None:
        match node:
            case ast.Import():
                for alias in node.names:
                    self.packages.add(alias.name.split(".")[0])
                    self.imports[alias.asname or alias.name.split(".")[0]] = (
                        alias.name if alias.asname else alias.name.split(".")[0]
                    )
            case ast.ImportFrom(level=1 | 2 | 3):  # from . import …: names of the writer's own
                self.names_set |= {alias.asname or alias.name for alias in node.names}
                self.own_stars |= any(alias.name == "*" for alias in node.names)
            case ast.ImportFrom(level=0):
                self.packages.add(node.module.split(".")[0])
                for alias in node.names:
                    if alias.name == "*":
                        self._note_star(node.module)
                    elif any(
                        isinstance(above, ast.Try) for above in self.above(node)
                    ):  # try today's, except the old one
                        self.imports.setdefault(alias.asname or alias.name, f"{node.module}.{alias.name}")
                    else:
                        self.imports[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            case ast.Name(ctx=ast.Store()) | ast.arg() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                name = getattr(node, "id", None) or getattr(node, "arg", None) or node.name
                self.names_set.add(name)
                if not any(isinstance(above, ast.ExceptHandler) for above in self.above(node)):
                    self.stores[self.scope(node)].setdefault(name, node.lineno)
            case ast.Assign():
                for target in node.targets:
                    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                        for one, value in zip(target.elts, node.value.elts, strict=False):
                            self.values[dotted(one)].append(value)
                    else:
                        self.values[dotted(target)].append(node.value)
            case ast.AnnAssign(value=ast.expr()):
                self.values[dotted(node.target)].append(node.value)
            case ast.withitem(optional_vars=ast.expr()):
                self.values[dotted(node.optional_vars)].append(node.context_expr)
            case ast.Call(func=ast.Attribute()):
                self.called[dotted(node.func.value)].add(node.func.attr)

    def _note_star(self, module: str) -> None:
        """`from model import *` also brings what model.py imports, if it lies beside the script."""
        self.stars.append(module)
        if module.split(".")[0] in LIBRARIES:
            return
        self.own_stars = True
        for local, full in _imports_of(self.path.parent.joinpath(*module.split(".")).with_suffix(".py")).items():
            self.imports.setdefault(local, full)
            self.packages.add(full.split(".")[0])

    # ---- Questions ---------------------------------------------------------------------------------------------------

    @staticmethod
    def above(node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, from the inside out."""
        while (node := node.up) is not None:
            yield node

    def scope(self, node: ast.AST) -> ast.AST:
        """The function, class or module that a name set here belongs to."""
        if not hasattr(node, "scope"):
            node.scope = next(above for above in self.above(node) if isinstance(above, SCOPES))
        return node.scope

    def statement(self, node: ast.AST) -> ast.stmt:
        """The statement that a node is part of."""
        while not isinstance(node, ast.stmt):
            node = node.up
        return node

    def full_name(self, node: ast.AST) -> str | None:
        """What a name stands for: F.softmax is "torch.nn.functional.softmax". None for what was not imported."""
        if not isinstance(node, ast.Name | ast.Attribute):
            return None
        if not hasattr(node, "full_name"):
            node.full_name = self._full_name(node)
        return node.full_name

    def _full_name(self, node: ast.Name | ast.Attribute) -> str | None:
        if isinstance(node, ast.Attribute):
            owner = self.full_name(node.value)
            return f"{owner}.{node.attr}" if owner else None
        if node.id in self.imports:
            return None if self._is_set_here(node) else self.imports[node.id]
        if node.id in self.names_set:
            return None
        if hasattr(builtins, node.id):
            return f"builtins.{node.id}"
        for module in self.stars:
            if self.is_known(f"{module}.{node.id}"):
                return f"{module}.{node.id}"
        return None if self.own_stars else f"builtins.{node.id}"

    def _is_set_here(self, name: ast.Name) -> bool:
        """Whether an imported name means something else here: an argument, or a variable that was set before."""
        for above in self.above(name):
            if isinstance(above, SCOPES) and name.id in self.stores[above]:
                return not isinstance(above, ast.Module | ast.ClassDef) or self.stores[above][name.id] < name.lineno
        return False

    def calls(self, *names: str) -> Iterator[ast.Call]:
        """The calls of functions and classes with these full names; a name that ends in . stands for all in it."""
        for full, found in self._calls_by_name.items():
            if full in names or any(name.endswith(".") and full.startswith(name) for name in names):
                yield from found

    def methods(self, *names: str) -> Iterator[ast.Call]:
        """The calls of methods with these names, of anything that is not an imported module."""
        for name in names:
            yield from self._methods_by_name.get(name, ())

    @functools.cached_property
    def _calls_by_name(self) -> dict[str, list[ast.Call]]:
        found = defaultdict(list)
        for node in self.nodes[ast.Call]:
            if full := self.full_name(node.func):
                found[full].append(node)
        return found

    @functools.cached_property
    def calls_as_written(self) -> dict[str, list[ast.Call]]:
        """All calls by the name that stands there: "self.model"."""
        found = defaultdict(list)
        for node in self.nodes[ast.Call]:
            found[dotted(node.func)].append(node)
        return found

    @functools.cached_property
    def _methods_by_name(self) -> dict[str, list[ast.Call]]:
        found = defaultdict(list)
        for node in self.nodes[ast.Call]:
            if isinstance(node.func, ast.Attribute) and not self.is_module(node.func.value):
                found[node.func.attr].append(node)
        return found

    def is_module(self, node: ast.AST) -> bool:
        """Whether this is an imported name or a part of one: `torch` or `torch.nn`, not `model`."""
        return isinstance(node, ast.Name | ast.Attribute) and not (self.full_name(node) or "builtins.").startswith(
            "builtins."
        )

    def is_provided_for(self, node: ast.AST) -> bool:
        """Whether the code itself is ready for a name that is not there: try … except ImportError, if PY2 …"""
        for above in self.above(node):
            if isinstance(above, ast.Try):
                caught = " ".join(text_of(handler.type) if handler.type else "Exception" for handler in above.handlers)
                if re.search(r"\b(ImportError|ModuleNotFoundError|NameError|AttributeError|Exception)\b", caught):
                    return True
            elif isinstance(above, ast.If | ast.IfExp) and re.search(
                r"version|PY[23]|py[23]|hasattr|IS_PYTHON", text_of(above.test)
            ):
                return True
        return False

    def made_by(self, key: str | None, *names: str) -> bool:
        """Whether something of this name is assigned from a call of one of these; as in calls()."""
        return key is not None and any(
            isinstance(value, ast.Call)
            and (full := self.full_name(value.func))
            and (full in names or any(name.endswith(".") and full.startswith(name) for name in names))
            for value in self.values.get(key, ())
        )

    def classes(self, *bases: str) -> Iterator[ast.ClassDef]:
        """The classes made from one of these, or from a class of this script that is."""
        if bases not in self._classes:
            self._classes[bases] = list(self._find_classes(*bases))
        yield from self._classes[bases]

    def _find_classes(self, *bases: str) -> Iterator[ast.ClassDef]:
        known: set[str] = set()
        for node in sorted(self.nodes[ast.ClassDef], key=lambda node: node.lineno):
            if any(self.full_name(base) in bases or dotted(base) in known for base in node.bases):
                known.add(node.name)
                yield node

    def is_model(self, key: str | None) -> bool:
        """Whether this name stands for a network: it was made as one, or is used as only a network can be."""
        if key is None or key == "self":
            return False
        networks = {node.name for node in self.classes("torch.nn.Module")}
        made = {dotted(value.func) for value in self.values.get(key, ()) if isinstance(value, ast.Call)}
        used = self.called.get(key, set())
        return bool(
            made & networks
            or self.made_by(key, "torchvision.models.", "torch.nn.Sequential")
            or used & {"parameters", "named_parameters"}
            or {"eval", "train"} <= used
            or {"eval", "load_state_dict"} <= used
        )

    def place(self, line: int) -> str:
        """Where a line is: "12", or "cell 3, line 2" in a notebook."""
        return "cell {}, line {}".format(*self.places[line - 1]) if self.places else str(line)


def dotted(node: ast.AST | None) -> str | None:
    """The name as a text: "self.model" for the expression self.model. None for what is no name."""
    if isinstance(node, ast.Name):
        return node.id
    if not isinstance(node, ast.Attribute):
        return None
    if not hasattr(node, "dotted"):
        owner = dotted(node.value)
        node.dotted = f"{owner}.{node.attr}" if owner else None
    return node.dotted


@functools.lru_cache
def _imports_of(path: Path) -> dict[str, str]:
    """What a module imports: local name -> full name. Nothing where it cannot be read."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return {}
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            found |= {
                alias.asname or alias.name.split(".")[0]: alias.name if alias.asname else alias.name.split(".")[0]
                for alias in node.names
            }
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {
                alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names if alias.name != "*"
            }
    return found


def text_of(node: ast.AST) -> str:
    """The code of a node in one form: ast.unparse(), which is slow, once."""
    if not hasattr(node, "as_text"):
        node.as_text = ast.unparse(node)
    return node.as_text


# ---- From bytes to a tree --------------------------------------------------------------------------------------------


def read(path: Path) -> tuple[Source, list[str]]:
    """A script or a notebook, and one line for each cell that could not be read. UserError where nothing could."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror})") from error
    text = decoded(data, path).replace("\r\n", "\n").replace("\r", "\n")
    if path.suffix == ".ipynb":
        return _notebook(path, text)
    return Source(path, text), []


def decoded(data: bytes, path: Path) -> str:
    """Text from UTF-8, from the encoding that the script names, from UTF-16 with its mark, or from GBK."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        candidates = ["utf-16"]
    elif b"\0" in data:
        raise UserError(f"{path} is no Python script: it holds binary data")
    else:
        candidates = ["utf-8-sig", "gb18030"]
        with contextlib.suppress(SyntaxError):  # it names an encoding that does not exist, or is not in UTF-8
            candidates.insert(1, tokenize.detect_encoding(BytesIO(data).readline)[0])
    for encoding in candidates:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UserError(f"{path} is neither in UTF-8 nor in GBK: save it as UTF-8")


def _notebook(path: Path, text: str) -> tuple[Source, list[str]]:
    """All code cells of a notebook as one script. A cell that is no Python leaves empty lines."""
    try:
        data = json.loads(text)
        cells = data["cells"] if "cells" in data else data["worksheets"][0]["cells"]
        codes = [cell.get("source", cell.get("input", "")) for cell in cells if cell["cell_type"] == "code"]
        codes = ["".join(code).split("\n") for code in codes]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no notebook that can be read: open it in Jupyter and save it again") from error
    lines, places, problems = [], [], []
    for number, code in enumerate(codes, start=1):
        other = re.match(r"%%(?!time|capture|prun)", code[0])  # a cell in another language
        code = [] if other else [MAGIC.sub(r"\1pass", line) for line in code]
        try:
            parse(code, path)
        except UserError as error:
            problems.append(f"{error} (cell {number})")
            code = []
        lines += code
        places += [(number, line) for line in range(1, len(code) + 1)]
    return Source(path, "\n".join(lines), places or [(1, 1)]), problems


def parse(lines: list[str], path: Path) -> tuple[ast.Module, list[tuple[str, int]]]:
    """The syntax tree, and what stands there in the syntax of Python 2: (row, line). UserError if it is no Python."""
    try:
        return _tree("\n".join(lines)), []
    except SyntaxError as error:
        first = error
    today, old = list(lines), []
    for i in range(len(lines)):
        for row, (pattern, replacement) in OLD_SYNTAX.items():
            if pattern.search(today[i]):
                today[i] = pattern.sub(replacement, today[i])
                old.append((row, i + 1))
    try:
        tree = _tree("\n".join(today))
    except SyntaxError:
        tree = None
    if not old or tree is None:
        raise UserError(f"{path}:{first.lineno}: no Python that can be read ({first.msg})")
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr)]
    inside = {i for node in strings for i in range(node.lineno, node.end_lineno) if node.lineno < node.end_lineno}
    inside |= {node.end_lineno for node in strings if node.lineno < node.end_lineno}
    return tree, [(row, line) for row, line in old if line not in inside]


def _tree(text: str) -> ast.Module:
    with warnings.catch_warnings(action="ignore"):  # "\d" in a string is the writer's business
        try:
            return ast.parse(text)
        except (ValueError, RecursionError, MemoryError) as error:
            raise SyntaxError(str(error) or "too deeply nested", ("", 1, 1, "")) from error
