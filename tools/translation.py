"""Hold the Chinese edition in step with the English one: notes.zh-CN.md beside notes.md, and the exercises' messages.

Run   python tools/translation.py status           which pages are missing, which sections are stale
      python tools/translation.py check [PAGE …]   all that is wrong, by file and section
      python tools/translation.py accept PAGE [SECTION …]
                                                   these sections, or all, are translated from today's English
      python tools/translation.py links [PAGE …]   let the links of Chinese pages lead to Chinese pages
      python tools/translation.py draft PAGE       the English page, with ⟦block 1⟧ for what stays as it is
      python tools/translation.py fill FILE        put these blocks into what was written from the draft

PAGE is Course05, Course19/two_ways, README or FROM-THE-VIDEOS. SECTION is its number, or the English title where it has
none; 0 is what stands above the first `## ` heading. On a page without numbers, sections are counted: 1, 2, 3 …

Below each `## ` heading of a Chinese page, and below its title, stands `<!-- english: 1a2b3c4d -->`: the fingerprint of
the English section that was translated. Where the English has changed since, the section is stale.
"""

import argparse
import difflib
import itertools
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from markup import CODE_SPAN, FENCED, dead_links, headings, split_at_headings
from translation_checks import (
    FINGERPRINT,
    HAN,
    badly_set,
    compared_numbers,
    differences,
    first_uses,
    left_in_english,
    listed,
    missing_terms,
    take_apart,
    wrong_terms,
)

from common import UserError
from common.paths import REPOSITORY, atomic_write
from practice.lessons import Lesson
from practice.messages import english_task, fingerprint, task_fingerprint

CHINESE = ".zh-CN"
AT_THE_TOP = ("README.md", "FROM-THE-VIDEOS.md")
MESSAGES = f"messages{CHINESE}.toml"
TERMS = Path(__file__).with_name("terms.toml")
PLACE = re.compile(r"[ \t]*⟦block (\d+)⟧")


# ---- Pages and their sections ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page:
    """A page that has, or should have, a Chinese edition."""

    english: Path

    @property
    def chinese(self) -> Path:
        """notes.zh-CN.md beside notes.md; it may not be there yet."""
        return self.english.with_name(f"{self.english.stem}{CHINESE}.md")

    def __str__(self):
        """Course05-DataLoader, Course19-TrainGPU/two_ways or README."""
        name = self.english.relative_to(REPOSITORY).with_suffix("").as_posix()
        return name.removesuffix("/notes")

    def sections(self) -> tuple[list["Section"], list["Section"]]:
        """The sections of the English page, and those of the Chinese one."""
        pages = (self.english, self.chinese.name), (self.chinese, self.english.name)
        return tuple(sections_of(without_switch(read(path), other)) for path, other in pages)


@dataclass(frozen=True)
class Section:
    """A piece of a page, from one `## ` heading to the next."""

    name: str  # its number; on pages with numbers the title of a section without one; "0" for what stands first
    number: str | None  # "3" of "## 3. Look"
    line: int  # of its heading, counted from 1
    text: str

    @property
    def noted(self) -> list[str]:
        """The fingerprints that stand in it."""
        return [match[1] for match in FINGERPRINT.finditer(FENCED.sub("", self.text))]


def read(path: Path) -> str:
    """The text of a page. UserError where it is not there."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {shown(path)} ({error.strerror}): write it first, `draft` begins it") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{shown(path)} is not in UTF-8 (byte {error.start}): save it in UTF-8") from error


def shown(path: Path) -> str:
    """Course05-DataLoader/notes.zh-CN.md"""
    return path.relative_to(REPOSITORY).as_posix() if path.is_relative_to(REPOSITORY) else str(path)


def all_pages() -> list[Page]:
    """The pages of the lessons, and the two at the top that learners read."""
    found = [*sorted(REPOSITORY.glob("Course[0-9][0-9]-*/*.md")), *map(REPOSITORY.joinpath, AT_THE_TOP)]
    return [Page(path) for path in found if CHINESE not in path.name]


def find_page(name: str) -> Page:
    """The page that Course05, Course19/two_ways or the path of one of its files means. UserError for others."""
    folder, _, beside = name.removesuffix(".md").removesuffix(CHINESE).rstrip("/").removesuffix("/notes").partition("/")
    pages = {page: str(page).partition("/") for page in all_pages()}
    found = [
        page
        for page, (start, _, rest) in pages.items()
        if re.match(rf"{re.escape(folder)}(-|$)", start) and rest == beside
    ]
    if len(found) != 1:
        raise UserError(f"no page is called {name!r}: name one as Course05, {', '.join(map(str, list(pages)[-2:]))}")
    return found[0]


def is_whole() -> bool:
    """Whether the Chinese edition is said to be complete: its README is there."""
    return (REPOSITORY / AT_THE_TOP[0]).with_name(f"README{CHINESE}.md").exists()


def missing() -> list[str]:
    """The Chinese pages that a complete edition lacks: of each lesson, and of those at the top."""
    return [shown(page.chinese) for page in all_pages() if not page.chinese.exists()]


def without_switch(markdown: str, other: str) -> str:
    """The page without the line on top that leads to its other edition. All lines keep their number."""
    top, heading, rest = re.match(r"(.*?)(^## |\Z)(.*)", markdown, re.DOTALL | re.MULTILINE).groups()
    return re.sub(rf"^.*\]\({re.escape(other)}\).*$", "", top, flags=re.MULTILINE) + heading + rest


def sections_of(markdown: str) -> list[Section]:
    """The sections of a page, in order. The first is what stands above the first `## ` heading."""
    parts = split_at_headings(markdown, levels=(2,))
    titles = [re.match(r"## +(?:(\d+)\. +)?(.*)|", part) for part in parts]
    has_numbers = any(title[1] for title in titles)
    found, line = [], 1
    for place, (part, title) in enumerate(zip(parts, titles, strict=True)):
        name = title[1] or (title[2].strip() if title[2] and has_numbers else str(place))
        found.append(Section(name, title[1], line, part))
        line += part.count("\n")
    return found


def pairs(english: list[Section], chinese: list[Section]) -> tuple[list[tuple[Section, Section]], list[str]]:
    """The sections that belong together, and what is wrong with the order."""
    keys = [[section.number for section in sections] for sections in (english, chinese)]
    if keys[0] == keys[1]:
        return list(zip(english, chinese, strict=True)), []
    # A heading is missing or too many. Those without a number are known by the fingerprints of their English sections.
    keys = [s.number or fingerprint(s.text) for s in english], [s.number or "".join(s.noted) for s in chinese]
    together, wrong = [], []
    for _, a, b, c, d in difflib.SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        if keys[0][a:b] == keys[1][c:d]:
            together += zip(english[a:b], chinese[c:d], strict=True)
            continue
        wrong += [f"section {s.name}: is missing, or at a different place: translate it there" for s in english[a:b]]
        wrong += [f"section {s.name}: has no English section at this place: remove or move it" for s in chinese[c:d]]
    return together, wrong


# ---- All that is wrong -----------------------------------------------------------------------------------------------


def read_terms() -> list[dict]:
    """The table of terms; each with its English and Chinese form, and what is forbidden."""
    return tomllib.loads(TERMS.read_text(encoding="utf-8"))["term"] if TERMS.exists() else []


def problems(page: Page, terms: list[dict]) -> list[str]:
    """All that is wrong with a Chinese page that exists: "Course05-DataLoader/notes.zh-CN.md, section 3: …"."""
    english, chinese = page.sections()
    together, wrong = pairs(english, chinese)
    for original, translated in together:
        here = problems_with_section(page, original, translated, terms)
        wrong += [f"section {original.name}: {problem}" for problem in here]
    names = {translated.line: original.name for original, translated in together}
    parts = [(names.get(section.line, section.name), take_apart(section.text)) for section in chinese]
    prose = [(name, part.shown) for name, part in parts]
    wrong += [f"section {name}: {problem}" for name, problem in first_uses(prose, terms)]
    dead = dead_links(read(page.chinese), page.chinese.parent)
    wrong += [
        f"section {name}: the link {link} leads nowhere: mend it"
        for name, part in parts
        for link in dead
        if link in part.links or link in part.figures
    ]
    return [f"{shown(page.chinese)}, {problem}" for problem in wrong]


def problems_with_section(page: Page, english: Section, chinese: Section, terms: list[dict]) -> Iterator[str]:
    """All that is wrong with a section that has its English one."""
    if problem := stale(english, chinese):
        yield problem
    original, translated = take_apart(english.text), take_apart(chinese.text)
    original.links = Counter(translated_target(link, page) for link in original.links.elements())
    if not is_whole():  # pages come one by one: a link to the English page is right until `links` is run
        links = translated.links.elements()
        translated.links = Counter(link if link[0] == "#" else translated_target(link, page) for link in links)
    yield from differences(original, translated)
    yield from left_in_english(translated.prose)
    yield from wrong_terms(translated.shown, terms)
    yield from missing_terms(original.prose, translated.shown, terms)
    yield from badly_set(translated.prose, chinese.line)


def stale(english: Section, chinese: Section) -> str | None:
    """What to do where a section was translated from other words than today's."""
    if chinese.noted == [fingerprint(english.text)]:
        return None
    if not chinese.noted:
        return "has no fingerprint: translate it, then accept it"
    return "its English section has changed since it was translated: translate what changed, then accept it"


def problems_with_messages(path: Path, terms: list[dict]) -> list[str]:
    """What is wrong with the words of a file of messages. Keys and fingerprints are the business of practice."""
    wrong = []
    for name, english, chinese in messages_of(path):
        here = [*left_in_english(chinese), *wrong_terms(chinese, terms), *badly_set(chinese)]
        if english is not None:
            here += compared_numbers(take_apart(english), take_apart(chinese))
            here += [] if here or re.search(HAN, chinese) else ["has no Chinese word: translate it"]
        wrong += [f"{shown(path)}, {name}: {problem}" for problem in here]
    return wrong


def messages_of(path: Path) -> Iterator[tuple[str, str | None, str]]:
    """(where it stands, English, Chinese) for each message of a file; English is None where it stands elsewhere."""
    for section, table in read_toml(path).items():
        for key, value in table.items() if isinstance(table, dict) else [("", table)]:
            if section in ("hints", "rows"):
                yield f"{section}, “{key[:40]}”", key, value
            elif section.isdigit() and key in ("title", "task"):
                yield f"exercise {section}, {key}", english_words(path, int(section)).get(key), value
            elif key != "english" and isinstance(value, str):
                yield " ".join(filter(None, (section, key))), None, value


def read_toml(path: Path) -> dict:
    """UserError where a file of messages is no TOML."""
    try:
        return tomllib.loads(read(path))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{shown(path)} is no TOML: {error}") from error


# ---- The commands ----------------------------------------------------------------------------------------------------


def translated_target(target: str, page: Page) -> str:
    """Where a link of this page leads in the Chinese edition: to the Chinese page and heading, where there are such."""
    name, _, fragment = unquote(target).partition("#")
    file = (page.english.parent / name).resolve() if name else page.english
    other = Page(file.with_name(file.name.replace(f"{CHINESE}.md", ".md")))
    is_switch = bool(name) and not fragment and other == page
    if re.match(r"[a-z]+:", target) or file.suffix != ".md" or is_switch or not other.chinese.exists():
        return target
    places = [places_of(read(path)) for path in (other.english, other.chinese)]
    there = {slug: places[1][place] for place, slug in places[0].items() if place in places[1]}
    name = name and name.removesuffix(".md").removesuffix(CHINESE) + f"{CHINESE}.md"
    return name + (f"#{there.get(fragment, fragment)}" if fragment else "")


def places_of(markdown: str) -> dict[tuple, str]:
    """The fragment of each heading, by what is the same in both languages: its number, or how many came before."""
    found, unnumbered = {}, Counter()
    for level, title, slug in headings(markdown):
        number = re.match(r"\d+\. ", title)
        found[(level, number[0]) if number else (level, "", unnumbered[level])] = slug
        unnumbered[level] += not number
    return found


def with_links(page: Page) -> str:
    """The Chinese page with its links led to Chinese pages. What stands in code is no link."""
    text = read(page.chinese)
    code = [match.span() for pattern in (FENCED, CODE_SPAN) for match in pattern.finditer(text)]

    def put(match: re.Match) -> str:
        is_code = any(start < match.start() < end for start, end in code)
        return match[0] if is_code else translated_target(match[0], page)

    return re.sub(r"(?<=\]\()[^)>\s]+", put, text)


def with_fingerprints(page: Page, names: list[str]) -> str:
    """The Chinese page, these sections of it marked as translated from today's English; all where none is named."""
    english, chinese = page.sections()[0], sections_of(read(page.chinese))
    together, wrong = pairs(english, chinese)
    if wrong:
        raise UserError(f"{shown(page.chinese)}, {wrong[0]}; then accept it")
    known = [section.name for section in english]
    for name in names:
        if name not in known:
            raise UserError(f"{page} has no section {name!r}: it has {', '.join(known)}")
    accepted = [original.name for original in english if not names or original.name in names]
    texts = (marked(b.text, fingerprint(a.text)) if a.name in accepted else b.text for a, b in together)
    return "".join(texts)


def marked(section: str, value: str) -> str:
    """A section with this fingerprint below its first heading, and no other."""
    return re.sub(r"^#.*", rf"\g<0>\n<!-- english: {value} -->", FINGERPRINT.sub("", section), count=1, flags=re.M)


def draft(page: Page) -> str:
    """The English page for translators: its fingerprints are in place, and ⟦block 1⟧ stands for what stays as it is."""
    sections = sections_of(without_switch(read(page.english), page.chinese.name))
    text = "".join(marked(section.text, fingerprint(section.text)) for section in sections)
    number = itertools.count(1)
    return FENCED.sub(lambda match: f"{match[1]}⟦block {next(number)}⟧", text)


def filled(path: Path) -> str:
    """A written draft with the blocks of its English page in their places. UserError where one is lost."""
    page = next((page for page in all_pages() if page.chinese == path.resolve()), None)
    if page is None:
        raise UserError(f"{path} is no Chinese page: give one as Course05-DataLoader/notes{CHINESE}.md")
    blocks = [match[0] for match in FENCED.finditer(read(page.english))]
    text = read(page.chinese)
    places = [int(number) for number in PLACE.findall(text)]
    if places != list(range(1, len(blocks) + 1)):
        raise UserError(
            f"{shown(page.chinese)} has blocks {listed(map(str, places))}, not 1 to {len(blocks)} in order: mend it"
        )
    return PLACE.sub(lambda match: blocks[int(match[1]) - 1], text)


def message_files() -> list[Path]:
    """The files of messages that there are."""
    return sorted([*REPOSITORY.glob(f"Course*/{MESSAGES}"), *REPOSITORY.glob(f"practice/{MESSAGES}")])


def english_words(path: Path, number: int) -> dict[str, str]:
    """The English title and task of an exercise of the lesson that this file of messages belongs to."""
    lesson = Lesson(path.parent)
    if number not in {task.number for task in lesson.tasks}:
        raise UserError(f"{shown(path)}: exercises.py has no exercise {number}: remove it")
    return {"title": lesson.tasks[number - 1].title, "task": english_task(lesson, number)}


def with_task_fingerprints(path: Path) -> str:
    """A file of messages, all its tasks marked as translated from today's English."""
    parts = re.split(r"^(?=\[)", read(path), flags=re.MULTILINE)
    for n, part in enumerate(parts):
        if number := re.match(r"\[\"?(\d+)\"?\]", part):
            value = f'english = "{task_fingerprint(Lesson(path.parent), int(number[1]))}"'
            part, count = re.subn(r"^english *= *\".*?\"", value, part, flags=re.MULTILINE)
            parts[n] = part if count else f"{part.rstrip()}\n{value}\n\n"
    return "".join(parts)


def status() -> Iterator[str]:
    """What is missing, and what is stale."""
    pages = [page for page in all_pages() if page.chinese.exists()]
    yield from (f"{name}: missing" for name in missing())
    for page in pages:
        together, wrong = pairs(*page.sections())
        yield from (f"{shown(page.chinese)}, {problem}" for problem in wrong)
        if names := [english.name for english, chinese in together if stale(english, chinese)]:
            yield f"{shown(page.chinese)}: stale: {', '.join(names)}"
    yield f"{len(pages)} of {len(all_pages())} pages are there, {len(message_files())} files of messages"


def run(options: argparse.Namespace) -> int:
    """Do what was asked. Exit code 1 where `check` found something."""
    if options.command == "status":
        print(*status(), sep="\n")
    elif options.command == "check":
        found = all_problems(options.pages)
        print(*(found or ["nothing is wrong"]), sep="\n")
        return 1 if found else 0
    elif options.command == "links":
        for page in chosen_pages(options.pages):
            save(page.chinese, with_links(page))
    elif options.command == "accept":
        page = find_page(options.page)
        messages = [] if options.sections else messages_beside(page)
        texts = {path: with_task_fingerprints(path) for path in messages}
        if page.chinese.exists() or not messages:
            texts[page.chinese] = with_fingerprints(page, options.sections)
        for path, text in texts.items():
            save(path, text)
    elif options.command == "draft":
        print(draft(find_page(options.page)), end="")
    else:
        save(options.file, filled(options.file))
    return 0


def chosen_pages(names: list[str]) -> list[Page]:
    """The pages of these names; all that are translated where none is given."""
    return [find_page(name) for name in names] or [page for page in all_pages() if page.chinese.exists()]


def messages_beside(page: Page) -> list[Path]:
    """The messages of a lesson's exercises, which belong to its notes."""
    return [path for path in message_files() if path.parent == page.english.parent and page.english.name == "notes.md"]


def all_problems(names: list[str]) -> list[str]:
    """All that is wrong with the pages of these names and their messages; with all where none is given."""
    pages, terms = chosen_pages(names), read_terms()
    files = [path for page in pages for path in messages_beside(page)] if names else message_files()
    found = [problem for page in pages for problem in problems(page, terms)]
    return found + [problem for path in files for problem in problems_with_messages(path, terms)]


def save(path: Path, text: str) -> None:
    """Write a file that changed, whole or not at all, and say so."""
    if text != read(path):
        with atomic_write(path) as beside:
            beside.write_text(text, encoding="utf-8")
        print(f"changed {shown(path.resolve())}")


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with a command."""

    def error(self, message: str):
        raise UserError(f"{message}: see --help")


def main(argv: list[str] | None = None) -> int:
    parser = Parser(description="Hold the Chinese edition in step with the English one.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("status", help="which pages are missing, which sections are stale")
    for name, about in (("check", "all that is wrong, by file and section"), ("links", "lead links to Chinese pages")):
        commands.add_parser(name, help=about).add_argument(
            "pages", nargs="*", metavar="PAGE", help="Course05, README …"
        )
    accept = commands.add_parser("accept", help="sections are translated from today's English")
    accept.add_argument("page", metavar="PAGE", help="Course05, README …")
    accept.add_argument("sections", nargs="*", metavar="SECTION", help="its number or English title; all without one")
    commands.add_parser("draft", help="the English page without its blocks").add_argument("page", metavar="PAGE")
    commands.add_parser("fill", help="put the blocks into a draft").add_argument("file", metavar="FILE", type=Path)
    try:
        return run(parser.parse_args(argv))
    except UserError as error:
        print(f"translation.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
