"""What may be wrong with a translated section: its text against the English one. Files are translation.py's business.

Each function yields problems, as "number 87.5% is missing: write the English number, in digits".
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from markup import CODE_SPAN, FENCED, headings

FINGERPRINT = re.compile(r"^<!-- english: *(\S*) *-->[ \t]*$\n?", re.MULTILINE)

# ---- What a section is made of ---------------------------------------------------------------------------------------

CODE, BLOCK, TAG, FORMULA = "\ue000\ue001\ue002\ue003"  # stand for what was taken out
LINKED, OUTSIDE = "\ue004\ue005"  # stand on both sides of the words of a link; OUTSIDE where it leaves the course
HAN = r"[\u3400-\u9fff]"
NUMBER = re.compile(r"−?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?(?:\s?%)?")
SCALES = {"million": 10**6, "billion": 10**9, "万": 10**4, "百万": 10**6, "亿": 10**8}  # 1.3 million is 130 万
SCALED = re.compile(rf"({NUMBER.pattern})(?:\s?({'|'.join(SCALES)}))?")
FIGURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
LINK = re.compile(r"\[([^\]]*)\]\(<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\)")
LINK_OUTSIDE = re.compile(LINK.pattern.replace("<?(", "<?((?=https?:)"))
CARDINALS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
)
IN_WORDS = {word: n for words in (CARDINALS, ORDINALS) for n, word in enumerate(words.split(), 1)}
IN_WORDS |= {"once": 1, "single": 1, "twice": 2, "both": 2, "pair": 2, "dozen": 12}


@dataclass
class Parts:
    """A section taken apart."""

    blocks: list[str]
    code: Counter
    formulas: Counter
    figures: Counter
    alts: list[str]  # what is said of the figures
    links: Counter
    tags: list[str]
    rows: list[int]  # the columns of each row of its tables
    levels: list[int]  # of its headings
    pieces: Counter  # paragraphs, list items …
    prose: str  # line for line, with one sign for each thing that was taken out
    shown: str = field(init=False)  # the prose as it is read
    numbers: Counter = field(init=False)

    def __post_init__(self):
        self.shown = as_read(self.prose)
        self.numbers = Counter(in_digits(*number) for number in SCALED.findall(self.shown))


def in_digits(number: str, scale: str) -> str:
    """1,000 as 1000; 1.3 million, as well as 130 万, as 1300000."""
    number = re.sub(r"[,\s]", "", number)
    return f"{(Decimal(number) * SCALES[scale]).normalize():f}" if scale else number


def as_read(prose: str) -> str:
    """The prose without the marks of emphasis and links."""
    return re.sub(rf"[*{LINKED}{OUTSIDE}]", "", prose)


def take_apart(text: str) -> Parts:
    """The parts of a section."""

    def take(pattern: str | re.Pattern, sign: str, group: int = 0) -> list[str]:
        nonlocal text
        found = []

        def put(match: re.Match) -> str:
            found.append(match[group])
            stays = match.expand(sign)
            return stays + "\n" * (match[0].count("\n") - stays.count("\n"))

        text = re.sub(pattern, put, text)
        return found

    blocks = take(FENCED, BLOCK)
    take(FINGERPRINT, "")
    code = take(CODE_SPAN, CODE) + take(r"<code>.*?</code>", CODE)
    formulas = take(r"\$\$[^$]+\$\$|(?<!\$)\$(?=[^\s$])[^$]*?[^\s$]\$(?!\$)", FORMULA)
    alts = [alt for alt, _ in FIGURE.findall(text)]
    figures = take(FIGURE, r"\1", group=2)
    links = take(r"<(https?://[^>\s]+)>", CODE, group=1)
    links += take(LINK_OUTSIDE, rf"{OUTSIDE}\1{OUTSIDE}", group=2)
    links += take(LINK, rf"{LINKED}\1{LINKED}", group=2)
    tags = take(r"</?[a-z]\w*[^>\n]*>", TAG)
    rows = [len(re.findall(r"(?<!\\)\|", line)) - 1 for line in text.splitlines() if line.lstrip().startswith("|")]
    levels = [level for level, _, _ in headings(text)]
    items = re.findall(r"^\s*(?:[-*]|\d+\.)\s", text, re.MULTILINE)
    pieces = Counter({"paragraph": len([p for p in re.split(r"\n\s*\n", text) if p.strip()]), "list item": len(items)})
    codes = Counter(" ".join(span.split()) for span in code)
    return Parts(
        blocks, codes, Counter(formulas), Counter(figures), alts, Counter(links), tags, rows, levels, pieces, text
    )


# ---- What may be wrong with a section --------------------------------------------------------------------------------


def differences(english: Parts, chinese: Parts) -> Iterator[str]:
    """What of a Chinese section is not as in the English one, though it must be."""
    if len(english.blocks) != len(chinese.blocks):
        yield f"{len(chinese.blocks)} blocks of code, {len(english.blocks)} in English: take over all, in their order"
    for n, (wanted, found) in enumerate(zip(english.blocks, chinese.blocks, strict=False), 1):
        if wanted != found:
            yield f"block {n} is not the English one ({first_difference(wanted, found)}): copy it, byte for byte"
    for what, to_do in {
        "code": "write code as in English",
        "formulas": "copy formulas as they are",
        "figures": "show the same figures",
        "links": "lead where the English links lead (`links` does it)",
    }.items():
        yield from compared(what.removesuffix("s"), getattr(english, what), getattr(chinese, what), to_do)
    for alt in chinese.alts:
        if not re.search(HAN, alt):
            yield f"figure “{alt[:60]}” is described in English: translate it"
    yield from compared_numbers(english, chinese)
    if english.tags != chinese.tags:
        yield f"the tags are {listed(chinese.tags)}, in English {listed(english.tags)}: fold what is folded there"
    if english.rows != chinese.rows:
        yield f"its table rows have {chinese.rows} columns, in English {english.rows}: make the same table"
    if english.levels != chinese.levels:
        yield f"its headings have the levels {chinese.levels}, in English {english.levels}: write the same headings"
    for piece in english.pieces | chinese.pieces:
        a, b = english.pieces[piece], chinese.pieces[piece]
        if a != b:
            yield f"{piece}s: {b}, in English {a}: keep them as they are there"


def first_difference(wanted: str, found: str) -> str:
    """The first line of two texts that differs, as it should be."""
    lines = zip([*wanted.splitlines(), "its end"], [*found.splitlines(), ""], strict=False)
    return next((repr(a.strip()) for a, b in lines if a != b), "its end")


def compared(what: str, wanted: Counter, found: Counter, to_do: str) -> Iterator[str]:
    if lost := wanted - found:
        yield f"{what} {listed(lost.elements())} is missing: {to_do}"
    if new := found - wanted:
        yield f"{what} {listed(new.elements())} is not in English: {to_do}"


def compared_numbers(english: Parts, chinese: Parts) -> Iterator[str]:
    """The digits that were lost or added. What English says in words up to twenty may be a word or digits."""
    words = re.findall(r"[a-z]+?(?=s?\b)", english.shown.lower())
    in_words = Counter(str(IN_WORDS[word]) for word in words if word in IN_WORDS)
    allowed = (chinese.numbers - english.numbers) & in_words
    yield from compared("number", english.numbers, chinese.numbers - allowed, "write the English number, in digits")


def listed(things: Iterable[str]) -> str:
    things = list(things)
    return ", ".join(things[:5]) + (" …" if len(things) > 5 else "") or "none"


WORD = re.compile(r"[“(（]?[A-Za-z][A-Za-z'’-]*[.,;:!?”)），。：；！？]*")  # and no code, as in relu(x)


def left_in_english(prose: str) -> Iterator[str]:
    """The paragraphs, list items, table cells and sentences of at least six English words and no Chinese ones."""
    prose = as_read(re.sub(rf"{OUTSIDE}[^{OUTSIDE}]*{OUTSIDE}|[{CODE}{FORMULA}]", " ", prose))
    for unit in re.split(rf"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.)\s)|(?<!\\)\||[{TAG}{BLOCK}]|(?<=\S)\n(?=#)", prose):
        for part in (unit, *re.split(r"[。！？；]|[.!?](?=\s)", unit)):
            words = [word for word in part.split() if WORD.fullmatch(word)]
            if len(words) >= 6 and sum(word.islower() for word in words) >= 3 and not re.search(HAN, part):
                yield f"left in English: “{' '.join(part.split())[:60]}”: translate it"
                break


PUNCTUATION = re.compile(
    rf"{HAN}\s*[,.;:?!()]\s*{HAN}"  # between two Chinese characters
    rf"|{HAN}(?:[,;?!]|[.:](?=[\s|{CODE}{BLOCK}{TAG}{FORMULA}]|$))"  # behind one: 文件.txt is none
    rf"|(?<=[\w{CODE}{FORMULA})])[,;?!]\s*{HAN}|[{CODE}{FORMULA}]:\s*{HAN}"  # before one
)
SPACE = re.compile(rf"{HAN}[A-Za-z0-9]|[A-Za-z0-9]{HAN}")
NO_SPACE = re.compile(rf"\S +[，。；：？！、）](?! *\|)|（ (?!{FORMULA})")
NO_FORMULA = re.compile(rf"[^\s(|{TAG}]{FORMULA}|{FORMULA}(?:{HAN}|[A-Za-z0-9])")
EMPHASIS = re.compile(r"(?<!\*)(\*{1,3})(?=\S)[^*]+\1")


def badly_set(prose: str, first_line: int = 1) -> Iterator[str]:
    """Half-width punctuation in Chinese text, no space beside Latin letters and digits, marks that are not rendered."""
    for number, line in enumerate(prose.split("\n"), first_line):
        plain = as_read(line)
        found = [
            (PUNCTUATION.search(plain), "use full-width punctuation"),
            (SPACE.search(plain), "put a space between Chinese and Latin letters or digits"),
            (NO_SPACE.search(plain), "write full-width punctuation without the space"),
            (NO_FORMULA.search(plain), "put a space beside the formula, or its page shows the dollar signs"),
            (unseen_emphasis(line), "put a space outside the asterisks, or the page shows them"),
        ]
        for match, to_do in found:
            if match:
                around = match.string[max(match.start() - 6, 0) : match.end() + 6].translate(SEEN).strip()
                yield f"line {number}, “{around}”: {to_do}"


def unseen_emphasis(line: str) -> re.Match | None:
    """The first **（…）** that touches a letter outside and punctuation inside: CommonMark takes it for asterisks."""
    for match in EMPHASIS.finditer(line):
        inside = match[0].strip("*")
        before, after = line[: match.start()][-1:], line[match.end() :][:1]
        if (before.isalnum() and not inside[0].isalnum()) or (after.isalnum() and not inside[-1].isalnum()):
            return match
    return None


SEEN = str.maketrans({CODE: "`…`", FORMULA: "$…$", BLOCK: "", TAG: "<…>", LINKED: "", OUTSIDE: ""})


# ---- The table of terms ----------------------------------------------------------------------------------------------


def form(term: dict) -> str:
    """What a Chinese page says: the English word where that stays."""
    return term["english"] if term.get("keep") else term.get("chinese", "")


def problems_with_terms(terms: list[dict]) -> list[str]:
    """What is wrong with the table itself."""
    wrong = [f"{name}: stands there twice" for name, n in Counter(t["english"].lower() for t in terms).items() if n > 1]
    for term in terms:
        if bool(term.get("chinese")) == bool(term.get("keep")):
            wrong.append(f"{term['english']}: give it a Chinese form, or say keep = true")
        for variant in term.get("forbidden", []):
            asked = [form(other) for other in terms if forbidden_in(form(other), {**term, "forbidden": [variant]})]
            wrong += [
                f"{term['english']}: {variant} is forbidden, and part of {whole}: say so in unless" for whole in asked
            ]
    return wrong


def forbidden_in(text: str, term: dict) -> list[str]:
    """The forbidden variants of a term that a text uses, but for the longer words in which they are fine."""
    for whole in term.get("unless", []):
        text = text.replace(whole, "\n")
    return [variant for variant in term.get("forbidden", []) if variant in text]


def wrong_terms(text: str, terms: list[dict]) -> Iterator[str]:
    """The forbidden variants in a text, and what to write instead."""
    for term in terms:
        for variant in forbidden_in(text, term):
            yield f"{variant} is not our word for “{term['english']}”: write {form(term)}"


def missing_terms(english: str, chinese: str, terms: list[dict]) -> Iterator[str]:
    """The terms that English has as a heading, as a fold's summary or emphasised, and the Chinese section nowhere."""
    marked = re.findall(rf"\*+([^*\n]+)\*+|^#+ +(?:\d+\. +)?(.+)$|{TAG}([^\n{TAG}]+){TAG}", english, re.MULTILINE)
    marked = {"".join(found).strip(" .:,").lower() for found in marked}
    forms = {}
    for term in terms:
        forms.setdefault(re.sub(r" *\(.*\)$", "", term["english"]).lower(), []).append(form(term))
    for name in sorted(marked & set(forms)):
        if not any(word.lower() in chinese.lower() for word in forms[name]):
            yield f"“{name}” is {' or '.join(forms[name])} in our table, and not said so here: use it"


def first_uses(pages_prose: list[tuple[str, str]], terms: list[dict]) -> Iterator[tuple[str, str]]:
    """(section, problem) for the terms that should have the English word in parentheses once, and have not."""
    everything = "\n".join(prose for _, prose in pages_prose)
    for term in terms:
        said = re.escape(form(term)) + r"[”」]?\s?[（(][^）)\n]*" + re.escape(term["english"])
        if term.get("first") and form(term) in everything and not re.search(said, everything, re.IGNORECASE):
            where = next(name for name, prose in pages_prose if form(term) in prose)
            yield where, f"{form(term)} is used: say once what it is in English, {form(term)}（{term['english']}）"
