"""What is proved of every exercise, and how wrong answers are made for it."""

import ast
import contextlib
import io
import os

from practice.exercise import Exercise, Verdict, judge
from practice.lessons import Lesson, all_lessons, split_cells
from practice.messages import in_words

os.environ["LANGUAGE"] = "en"  # whatever the language of the system is
LESSONS = {lesson.number: lesson for lesson in all_lessons()}


def exercises() -> list[tuple[Lesson, Exercise]]:
    """All exercises of the course, with their lessons."""
    return [(lesson, exercise) for lesson in LESSONS.values() for exercise in lesson.exercises()]


def told(verdict: Verdict, lesson: Lesson | None = None) -> str:
    """What a learner is told."""
    return in_words(verdict.told, lesson or LESSONS["08"])


def name_of(value) -> str:
    """08.2"""
    return value.number if isinstance(value, Lesson) else f"{value.number}-{value.name}"


def run_cells(lesson: Lesson, number: int, code: str | None = None) -> dict:
    """The names after the setup cells and the cell of that number, in which `code` has taken the starter's place."""
    names = {"__name__": "workbook"}
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in split_cells(lesson.starter):
            if cell.number is None and cell.title != "Check":
                exec(compile(cell.text, "workbook", "exec"), names)
            if cell.number == number:
                exec(compile(code or cell.text, "workbook", "exec"), names)
    return names


def verdict_on(lesson: Lesson, exercise: Exercise, answer) -> Verdict:
    """The verdict that a learner gets."""
    (task,) = (task for task in lesson.tasks if task.number == exercise.number)
    return judge(exercise, answer, may_tell=task.kind != "predict")


# ---- One operator, constant or line changed at a time ----------------------------------------------------------------

SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt,
    ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.And: ast.Or, ast.Or: ast.And, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


def mutants(source: str) -> list[tuple[str, str]]:
    """(what was changed, the changed source) for each change that can be made in a function or class."""
    found, tree = [], ast.parse(source)
    nodes = list(ast.walk(tree))
    skipped = {id(node.value) for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}

    def add(node, words: str) -> None:
        code = ast.unparse(tree)
        found.append((f"line {node.lineno}: {words}", code))

    for node in nodes:
        if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in SWAPS:
            before, node.op = node.op, SWAPS[type(node.op)]()
            add(node, f"{ast.unparse(node).splitlines()[0]}")
            node.op = before
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
            before, node.ops[0] = node.ops[0], SWAPS[type(node.ops[0])]()
            add(node, ast.unparse(node))
            node.ops[0] = before
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            before, node.op = node.op, ast.UAdd()
            add(node, f"{ast.unparse(node)} without its minus")
            node.op = before
        elif isinstance(node, ast.Constant) and id(node) not in skipped and isinstance(node.value, bool | int | float):
            before = node.value
            node.value = not before if isinstance(before, bool) else before + 1
            add(node, f"{before} -> {node.value}")
            node.value = before
        for field in ("body", "orelse"):
            lines = getattr(node, field, None)
            if not isinstance(lines, list) or node is tree:
                continue
            for i, line in enumerate(lines):
                if isinstance(line, ast.Pass | ast.FunctionDef | ast.ClassDef) or (
                    isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
                ):
                    continue
                lines[i] = ast.copy_location(ast.Pass(), line)
                add(line, f"without `{ast.unparse(line).splitlines()[0]}`")
                lines[i] = line
    return found
