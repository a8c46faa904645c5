"""The rules of docstrings, as a program: `python tests/language.py [PATH ...]` lists what breaks them.

A function's docstring begins with an imperative verb, a class's or property's with a noun phrase; none begins with a
noun clause, none has fewer than four words; a line of `Args` or `Attributes` says more than a fragment does.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("study", "trainables", "analysis", "search_spaces", "benchmarks")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CLAUSES = _words(
    """
    what of whether how likewise why where who whose when which as than that if
    """
)
"""Words with which a docstring may not begin."""

DETERMINERS = _words(
    """
    the a an this these those each every its it all both no one two some any everything nothing somebody for in by
    to from with up at on so and or but not only true false
    """
)
"""Words that begin a noun phrase or a fragment, where a verb is due."""

THIRD_PERSON = _words(
    """
    gives takes runs makes holds keeps carries passes tells shows reads writes counts looks appends resolves
    stands calls knows says puts gathers adds builds draws moves stores trains returns computes loads chooses
    appears decides measures collects represents describes contains provides implements turns sends finds waits
    starts ends
    """
)
"""Verb forms that no docstring begins with: functions use the imperative, classes a noun."""

IMPERATIVE = _words(
    """
    return get make build write read load save train evaluate compute run check draw add report open close find
    """
)
"""Verbs with which a class's docstring may not begin."""

FRAGMENT = re.compile(
    r"(?i)^(of|as|likewise|the same|ditto|that|which|whose|where|whether|what|how|in|for|to|by)(?![\w-])"
)
VAGUE = re.compile(r"(?i)\b(likewise|as above|ditto)\b")
FEWEST_WORDS = 4
SECTION = re.compile(r"^\s*(Args|Attributes|Returns|Raises|Yields|Example|Examples|Note|Source|Sources):\s*$")
ENTRY = re.compile(r"^(\s+)(\*{0,2}[A-Za-z_][\w.]*(?:, \*{0,2}\w+)*)(?: \([^)]*\))?: (.*)$")

Violation = tuple[int, str, str]


def violations(source: str) -> Iterator[Violation]:
    """Yield `(line, rule, text)` of everything in a module's docstrings that breaks a rule."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield from _docstring(node, text)


def _docstring(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, text: str
) -> Iterator[Violation]:
    line = getattr(node, "lineno", 1)
    first = text.splitlines()[0]
    word = re.sub(r"[^a-z]", "", first.split()[0].lower()) if first.split() else ""
    if word in CLAUSES or first.lower().startswith("the same"):
        yield line, "opens with a clause", first
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_property(node):
        if word in DETERMINERS or word in THIRD_PERSON or first.startswith("`"):
            yield line, "function: expected an imperative verb", first
    elif word in THIRD_PERSON:
        yield line, "expected a noun phrase", first
    elif isinstance(node, ast.ClassDef) and word in IMPERATIVE:
        yield line, "class: expected a noun phrase", first
    if len(text.split()) < FEWEST_WORDS:
        yield line, "fewer than four words", first
    yield from _entries(line, text)


def _entries(line: int, text: str) -> Iterator[Violation]:
    """Yield the violations of the lines under `Args` and `Attributes`."""
    section = ""
    for row in text.splitlines():
        found = SECTION.match(row)
        if found or (row.strip() and not row.startswith(" ")):
            section = found[1] if found else ""
            continue
        entry = ENTRY.match(row)
        if section in ("Args", "Attributes") and entry and len(entry[1]) == len("    "):
            told = entry[3].strip()
            if FRAGMENT.match(told) or VAGUE.search(told) or len(told.split()) < 2:
                yield line, "fragment", row.strip()


def _is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    names = [each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for each in node.decorator_list]
    return any("property" in name for name in names) or "fixture" in names


def files(paths: list[str]) -> list[Path]:
    """Return the Python files at or below the given paths; by default those of the packages."""
    given = [Path(path) for path in paths or PACKAGES]
    found = (sorted(path.rglob("*.py")) if path.is_dir() else [path] for path in given)
    return [path for group in found for path in group if "notebooks" not in path.parts]


def main() -> None:
    """Print every violation as `file:line: rule: text`, then how many there are."""
    count = 0
    for path in files(sys.argv[1:]):
        for line, rule, text in violations(path.read_text()):
            count += 1
            print(f"{path}:{line}: {rule}: {text}")
    print(f"{count} violations")
    sys.exit(count > 0)


if __name__ == "__main__":
    main()
