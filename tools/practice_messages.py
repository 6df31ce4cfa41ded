"""The messages files of the lessons' exercises, for translators: what is to be said, and what is wrong in a file.

Run   python tools/practice_messages.py skeleton Course05      a file with all keys and empty values
      python tools/practice_messages.py check [Course05 …]     what is missing, stale or superfluous; all lessons

Titles, tasks and hints are read. What a row of a trial is called is made while it runs: so each trial runs once with
the answer, and each label is traced to the strings of solutions.py that it is made of.
"""

import ast
import contextlib
import io
import json
import re
import sys
from collections.abc import Iterator

from common import UserError
from practice import words
from practice.exercise import Exercise, as_in_a_trial
from practice.lessons import Lesson, all_lessons, find
from practice.messages import pattern, task_fingerprint

NOTHING = "nothing"
WORDS = {"first", "second", "third", "training", "evaluation", NOTHING}  # alone in a place of a row: no code


def texts_of(node: ast.AST) -> list[str]:
    """The texts that an expression may make, with `{}` for what varies: f"{n} rows" + (", old" if old else "")."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(part.value if isinstance(part, ast.Constant) else "{}" for part in parts)]
        case ast.IfExp(body=one, orelse=other):
            return texts_of(one) + texts_of(other)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            lefts, rights = texts_of(left), texts_of(right)
            return [a + b for a in lefts or ["{}"] for b in rights or ["{}"]] if lefts or rights else []
    return []


def is_code(text: str) -> bool:
    """Whether nobody needs to translate it: a call, a formula, a name, a file."""
    if text in WORDS:
        return False
    plain = text.replace("{}", "x").replace("…", "...")
    if " " not in plain:
        return not re.fullmatch(r"[a-z]+-[a-z]+", plain)
    for code in (plain, f"f({plain})"):
        with contextlib.suppress(SyntaxError):
            statement = ast.parse(code).body[0]
            value = statement.value if isinstance(statement, ast.Expr | ast.Assign) else None
            if code == plain and isinstance(value, ast.Call | ast.BinOp | ast.Subscript | ast.Attribute):
                return True
            if code != plain and isinstance(value, ast.Call) and not value.args:
                return True
    return not re.search(r"[A-Za-z]{2}", text.replace("{}", ""))


class Labels:
    """The strings of a solutions.py that labels are made of."""

    def __init__(self, lesson: Lesson):
        tree = ast.parse((lesson.folder / "solutions.py").read_text(encoding="utf-8"))
        self.code = [statement for statement in tree.body if not isinstance(statement, ast.Assign)]
        self.functions = {each.name: each for each in self.code if isinstance(each, ast.FunctionDef)}
        tables = [each for each in tree.body if isinstance(each, ast.Assign) and each.targets[0].id != "EXERCISES"]
        nodes = (node for statement in self.code + tables for node in ast.walk(statement))
        texts = {text for node in nodes for text in texts_of(node) if re.search("[A-Za-z]", text.replace("{}", ""))}
        self.patterns = {text: pattern(text) for text in texts}

    def keys(self, exercise: Exercise) -> list[str]:
        """The keys of [rows] that an exercise needs."""
        uses = [use for label in labels_that_come(exercise) for use in self.uses(label)]
        found = dict.fromkeys(with_words(text, parts, uses) for text, parts in uses)
        unused = [text for text in self.texts_that_may_come(exercise.trial.__name__) if text not in dict(uses)]
        return [text for text in dict.fromkeys([*found, *unused]) if not is_code(text)]

    def uses(self, label: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        """(text, what stood in its places) for the text that a label was made of, and for what stood there."""
        fitting = [text for text, each in self.patterns.items() if each.fullmatch(label)]
        if fitting:
            text = max(fitting, key=lambda text: (len(text.replace("{}", "")), text))
            parts = self.patterns[text].fullmatch(label).groups()
            yield text, parts
            for part in parts:
                if part not in WORDS:
                    yield from self.uses(part)

    def texts_that_may_come(self, name: str) -> Iterator[str]:
        """What stands in a `yield what, got, expected` of a trial, also where no answer has led so far."""
        function = self.functions[name]
        values = {}
        for node in ast.walk(function):
            match node:
                case ast.Assign(targets=[ast.Name(id=to)], value=value):
                    values.setdefault(to, []).extend(texts_of(value))
                case ast.Call(func=ast.Name(id=other)) if other in self.functions and other != name:
                    if any(isinstance(each, ast.Yield) for each in ast.walk(self.functions[other])):
                        yield from self.texts_that_may_come(other)
        for node in ast.walk(function):
            match node:
                case ast.Yield(value=ast.Tuple(elts=[what, _, *others])) if others:
                    yield from values.get(what.id, []) if isinstance(what, ast.Name) else texts_of(what)
                    yield from (text for text in texts_of(others[0]) if " " in text)


def with_words(text: str, parts: tuple[str, ...], uses: list[tuple[str, tuple[str, ...]]]) -> str:
    """The text with its places filled where only single words of English ever stand there."""
    for i, part in enumerate(parts):
        there = {other[i] for same, other in uses if same == text} - {NOTHING}
        text = text.replace("{}", part if there <= WORDS and part in WORDS or part == NOTHING else "\0", 1)
    return text.replace("\0", "{}")


def labels_that_come(exercise: Exercise) -> list[str]:
    """What the rows are called when the answer is tried."""
    with as_in_a_trial(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return list(dict.fromkeys(what for what, *_ in exercise.trial(exercise.answer)))


# ---- Files -----------------------------------------------------------------------------------------------------------


def keys_of(lesson: Lesson) -> dict[str, dict[int, list[str]]]:
    """{"hints": {exercise: keys}, "rows": {exercise: keys}}; a key of two exercises stands at the first."""
    exercises, labels = lesson.exercises(), Labels(lesson)
    keys = {"hints": {}, "rows": {}}
    for table, in_exercise in (("hints", hints_of), ("rows", labels.keys)):
        seen = {}
        for exercise in exercises:
            keys[table][exercise.number] = [key for key in in_exercise(exercise) if key not in seen]
            seen |= dict.fromkeys(keys[table][exercise.number])
    return keys


def hints_of(exercise: Exercise) -> list[str]:
    """The hints of an exercise, and those of its known mistakes."""
    return list(dict.fromkeys([*exercise.hints, *(mistake.hint for mistake in exercise.mistakes)]))


def skeleton(lesson: Lesson) -> str:
    """A messages file with the keys of a lesson, and nothing translated."""
    parts = []
    for task in lesson.tasks:
        fingerprint = task_fingerprint(lesson, task.number)
        parts.append(f'["{task.number}"]\ntitle = ""\ntask = """\n"""\nenglish = "{fingerprint}"\n')
    for table, of_exercises in keys_of(lesson).items():
        lines = [f"[{table}]"]
        for number, keys in of_exercises.items():
            lines += [f"# {number}. {lesson.tasks[number - 1].title}"] * bool(keys)
            lines += [f'{json.dumps(key, ensure_ascii=False)} = ""' for key in keys]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def problems(lesson: Lesson, kept: dict) -> Iterator[str]:
    """What is missing, stale or superfluous in the table of a lesson."""
    for task in lesson.tasks:
        its, fingerprint = kept.get(str(task.number), {}), task_fingerprint(lesson, task.number)
        for name in ("title", "task"):
            if not its.get(name, "").strip():
                yield f"exercise {task.number} has no {name}"
        if its.get("english") != fingerprint:
            yield f"exercise {task.number} is stale: the English is {fingerprint} now"
        for name in its.keys() - {"title", "task", "english"}:
            yield f"exercise {task.number}: {name!r} means nothing"
    needed = keys_of(lesson)
    for name in kept.keys() - {str(task.number) for task in lesson.tasks} - needed.keys():
        yield f"there is no exercise {name!r}"
    for table, of_exercises in needed.items():
        its = kept.get(table, {})
        for number, keys in of_exercises.items():
            yield from (f"exercise {number}: [{table}] lacks {key!r}" for key in keys if not its.get(key, "").strip())
        used = {key for keys in of_exercises.values() for key in keys}
        yield from (f"[{table}]: nothing says {key!r}" for key in its if key not in used)
    for key, chinese in kept.get("rows", {}).items():
        if places_of(chinese) != places_of(key):
            yield f"[rows]: the places are not those of {key!r}"


def problems_of_words(kept: dict) -> Iterator[str]:
    """The same for the sentences of practice/words.py."""
    sentences = {name: text for name, text in vars(words).items() if name.isupper() and name != "TABLE"}
    for name, english in sentences.items():
        if not kept.get(name, "").strip():
            yield f"{name} is missing"
        elif set(places_of(kept[name])) != set(places_of(english)):
            yield f"{name}: the places are not those of {english!r}"
    yield from (f"there is no {name}" for name in kept.keys() - sentences.keys())


def places_of(text: str) -> list[str]:
    """What is put into a text: ["{got!r}", "{}"]. {0} and {1} count as {}: they are for a different order."""
    return sorted(re.sub(r"\d", "", place) for place in re.findall(r"\{.*?\}", text))


def main() -> int:
    command, *names = sys.argv[1:] or [""]
    try:
        lessons = [find(name)[0] for name in names]
        if command == "skeleton" and len(lessons) == 1:
            print(skeleton(lessons[0]), end="")
            return 0
        if command != "check":
            raise UserError("type skeleton and a lesson, or check")
    except UserError as error:
        print(f"practice_messages: {error}", file=sys.stderr)
        return 2
    found = 0
    for each in lessons or [each for each in all_lessons() if (each.folder / words.TABLE).exists()]:
        for problem in problems(each, words.table(each.folder)):
            print(f"{each.name}/{words.TABLE}: {problem}")
            found = 1
    return found


if __name__ == "__main__":
    sys.exit(main())
