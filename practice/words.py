"""What the practice says besides tasks and hints: in one place, so that a translation changes no code.

messages.zh-CN.toml has the Chinese of each name. A sentence that is not said at once, such as a verdict that is kept,
is a list of its English and the values in it: `told(GOT, got="3")`.
"""

import functools
import locale
import os
import tomllib
from pathlib import Path

HELP = """\
Exercises that judge themselves each time you save.

  python -m practice              go on: the first lesson that is not done
  python -m practice 08           the exercises of lesson 08
  python -m practice list         how far you are
  python -m practice check 08     judge once (or 08.2, or all)
  python -m practice hint 08.2    a hint; one more each time
  python -m practice answer 08.2  an answer
  python -m practice reset 08.2   start anew (or 08); your old file is kept
  python -m practice report DIR   a table of many learners' workbooks
"""
HELP_JSON = "report: as JSON"

# ---- The screen ------------------------------------------------------------------------------------------------------

PREDICT = "predict"
WRITE = "write"
MEND = "mend"
FIND_OUT = "find out"
PROGRESS = "{done} of {total}"
OF = "of {total}"
MINUTES = "{minutes} min"
LESSON_DONE = "Lesson {number} is done. The next one:"
ALL_DONE = "All {total} exercises are done. That is the whole course."
NEXT = "Write in {place} and save: it is judged each time."
MORE = "… {count} more lines"
READ = "Read {section}"
SECTION = "{page}, section {number}"
SECTION_TITLED = "{page}, section {number}: {title}"
STUCK_HERE = "Stuck? In a second terminal: {run} hint {which}. Ctrl-C ends."
MORE_WRONG = "{count} more not right: {run} check shows all"
JUDGING = "judging {lesson} …"
STOPPED = "Stopped at {done} of {total}. The same command goes on from here."
OLD_STARTER = "The tasks of lesson {number} have changed since your copy was made. reset {number} makes a new copy."
HINT = "Hint {n} of {total}: {hint}"
LAST_HINT = "That was the last hint. {run} answer {which} shows an answer."
RESET = "A new copy: {path}"
KEPT = "Your old one:  {path}"
LEFT_OUT = "left out: {names}"

# ---- The copy --------------------------------------------------------------------------------------------------------

FIRST_LINE = "# Your copy of {file} ({digest}). Updates of the course never touch it."
HEAD = ": practice. Write where `...` stands. `python -m practice` judges each time you save."
ALSO = "Also: run this file, or its cells in an editor; the last cell judges, too."

# ---- Verdicts --------------------------------------------------------------------------------------------------------

GOT = "{what}: got {got}, expected {expected}"
GOT_NONE = "{what}: got None. Is there a return?"
IS_NOT = "{what}: it is not {got}"
DTYPE = "{what}: got numbers of {got}, expected {expected}"
NUMBERS = "{what}: {count} of {total} numbers are wrong; at {place} got {got}, expected {expected}"
RETURNED = "{call} returned {value}: {then}"
USED = "used, that raised {error}"
NOTHING_TO_USE = "nothing to go on with"
RAISED = "{call} raised {error}"
AT_LINE = "{error} (your line {line})"
MUST_BE_CLASS = "{name} must be a class, and is {value}"
MUST_BE_FUNCTION = "{name} must be a function, and is {value}"
MUST_BE_VALUE = "{name} must be a value, and is {value}"
A = "{value} (a {kind})"
AN = "{value} (an {kind})"
THE_CLASS = "the class {name}"
THE_FUNCTION = "the function {name}"
IN_CELL = "your line {line}: {problem}"
NOT_DEFINED = "{name} is not defined in this cell: keep the name that stood here"
MISSING = "this cell is missing in your copy: reset {which} brings it back"
STUCK = "your line {line}: still running after {seconds:g} s. Does this loop ever end?"
LEFT = "the cell of line {line} ended the process (exit code {code})"
KILLED = "the cell of line {line} was killed by the system: does it need too much memory?"
CRASHED = "the cell of line {line} crashed Python or PyTorch itself ({how})"

# ---- Bad input -------------------------------------------------------------------------------------------------------

BAD_ARGUMENTS = "{message} (--help shows all commands)"
NO_COMMAND = "there is no command {command!r} (--help shows all commands)"
TAKES_ONE = "{command} takes one name, such as 08.2"
TAKES_AT_MOST_ONE = "{command} takes at most one name, such as 08.2"
NEEDS_EXERCISE = "{command} needs an exercise, such as {which}"
NO_LESSON = "no lesson is called {which!r}: name one as 08, and one of its exercises as 08.2"
NO_EXERCISE = "lesson {lesson} has the exercises 1 to {last}, and not {number}"
NO_CELL = "your copy has no cell for {names}: {run} reset {first} brings it back"
NOT_UTF8 = "{path} is not in UTF-8: save it as UTF-8 in your editor"
UNREADABLE = "cannot read {path} ({problem}): mend that, or type {run} reset {lesson}"
NO_FOLDER = "there is no folder {folder}: name one with workbooks, or with a folder for each learner"
NO_WORKBOOK = "no workbook in {folders}: one is called {name}, say"
NOT_JUDGED = "nothing can be judged ({problem}): does python {lesson}/solutions.py run?"
INTERRUPTED = "stopped"


# ---- In which language -----------------------------------------------------------------------------------------------

TABLE = "messages.zh-CN.toml"
given = ""  # by --lang: "en", "zh" or nothing


def system_is_chinese() -> bool:
    """What the first of these variables says that is set; without any, as on Windows, what Python knows."""
    said = [os.environ[name] for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)]
    return (said or [locale.getlocale()[0] or ""])[0].lower().startswith(("zh", "chinese"))


def is_chinese() -> bool:
    return given == "zh" or (not given and system_is_chinese())


@functools.cache
def table(folder: Path) -> dict:
    """The Chinese messages of a folder; nothing where there are none."""
    path = folder / TABLE
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def say(english: str, **values) -> str:
    """One of the sentences above in the chosen language. A command in it, {run}, keeps a language given by hand."""
    differs = given and (given == "zh") != system_is_chinese()
    run = f"python -m practice --lang {given}" if differs else "python -m practice"
    chinese = table(Path(__file__).parent) if is_chinese() else {}
    said = next((chinese[name] for name in chinese if globals().get(name) == english), None)
    return (said or english).format(run=run, **values)


def told(english: str, **values) -> list:
    """The same, to be said later: see messages.in_words()."""
    return [english, values]
