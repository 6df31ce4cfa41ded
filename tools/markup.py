"""The parts of a page in Markdown: headings, blocks of code, links. Nothing here imports PyTorch."""

import re
import unicodedata
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

FENCED = re.compile(r"^( *)(```+)[^\n]*\n(?:.*?\n)?\1\2[ \t]*$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
HEADING = re.compile(r"^(#{1,6}) +(.+?) *$", re.MULTILINE)


def without_code(markdown: str) -> str:
    """The text without fenced blocks and code spans."""
    return CODE_SPAN.sub("", FENCED.sub("", markdown))


def split_at_headings(markdown: str, levels: tuple[int, ...] = (1, 2)) -> list[str]:
    """The text cut above each heading of these levels: "# Title …", "## 1. …". Lines of code are no headings."""
    fenced = [match.span() for match in FENCED.finditer(markdown)]
    cuts = [
        match.start()
        for match in HEADING.finditer(markdown)
        if len(match[1]) in levels and not any(start < match.start() < end for start, end in fenced)
    ]
    parts = [markdown[start:end] for start, end in zip([0, *cuts], [*cuts, len(markdown)], strict=True)]
    return [part for part in parts if part.strip()]


# ---- Links -----------------------------------------------------------------------------------------------------------


def links(markdown: str) -> list[str]:
    """The targets of all links and pictures that stay inside the repository. What stands in code is no link."""
    pattern = r"\]\(<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\)|<(?:img|a)\b[^>]+(?:src|href)=\"([^\"]+)\""
    targets = [a or b for a, b in re.findall(pattern, without_code(markdown))]
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def anchors(markdown: str) -> set[str]:
    """The fragments that lead to a place in this page, by GitHub's rules."""
    named = re.findall(r"<\w+[^>]*\b(?:id|name)=\"([^\"]+)\"", FENCED.sub("", markdown))
    return {*named, *(slug for _, _, slug in headings(markdown))}


def headings(markdown: str) -> list[tuple[int, str, str]]:
    """All headings in order, as (level, title, fragment that leads there): (2, "3. Look", "3-look")."""
    found, count = [], Counter()
    for marks, title in HEADING.findall(FENCED.sub("", markdown)):
        slug = _slug(title)
        found.append((len(marks), title, f"{slug}-{count[slug]}" if count[slug] else slug))
        count[slug] += 1
    return found


def _slug(heading: str) -> str:
    """ "## 3. `x` and y_1, or z?" -> "3-x-and-y_1-or-z": letters, digits, - and _ stay, and each space becomes a -."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    kept = (c for c in text if c in " -_" or unicodedata.category(c)[0] in "LM" or unicodedata.category(c) == "Nd")
    return "".join(kept).strip().replace(" ", "-")


def dead_links(markdown: str, folder: Path) -> list[str]:
    """Relative links that lead nowhere: the file is not there, or the heading that the fragment names is not."""

    def leads_somewhere(target: str) -> bool:
        name, _, fragment = unquote(target).partition("#")
        if not name:
            return fragment in anchors(markdown)
        file = folder / name
        if not fragment or file.suffix != ".md" or not file.exists():
            return file.exists()
        return fragment in anchors(file.read_text(encoding="utf-8"))

    return [target for target in links(markdown) if not leads_somewhere(target)]
