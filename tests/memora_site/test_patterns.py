"""Every regular expression takes time linear in the length of its text.

The texts are untrusted. A pattern is safe when every unlimited quantifier is
possessive, so that it never backtracks, and when it begins with an anchor or a
lookbehind, so that it does not start again at every character of a run.
"""

import ast
import importlib
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from re import _constants as op, _parser as parser  # type: ignore[attr-defined]
from types import ModuleType
from typing import Any

import jsonschema_rs
import pytest
from django.core.validators import RegexValidator

from content.json_errors import make_validator

ROOT = Path(__file__).parents[2]
APPS = (
    *("core", "content", "plans", "publishing", "players", "progress"),
    *("registrar", "memora_site"),
)
SOURCES = [
    path
    for app in APPS
    for path in sorted((ROOT / app).rglob("*.py"))
    if "migrations" not in path.parts
]
BACKTRACKING = (op.MAX_REPEAT, op.MIN_REPEAT)
ENDLESS = 1_001
"""A quantifier with this maximum or a higher one counts as unlimited."""


@cache
def syntax_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def calls(tree: ast.AST, of: str) -> Iterator[ast.Call]:
    """Yield the calls of ``of``, of ``anything.of`` and of ``of.anything``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name == of or name.endswith(f".{of}") or name.startswith(f"{of}."):
                yield node


def may_use_patterns(path: Path) -> bool:
    source = path.read_text()
    return bool(re.search(r"(?m)^(import|from) re\b|RegexValidator", source))


def module_of(path: Path) -> ModuleType:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return importlib.import_module(name)


def patterns_in(value: Any) -> Iterator["re.Pattern[str]"]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, RegexValidator):
        yield re.compile(value.regex)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from patterns_in(item)


def patterns_of(path: Path) -> list["re.Pattern[str]"]:
    names = {
        target.id
        for node in syntax_tree(path).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    module = vars(module_of(path))
    return [found for name in sorted(names) for found in patterns_in(module[name])]


def faults(pattern: "re.Pattern[str]") -> list[str]:
    """The rules that the pattern breaks."""
    parsed = parser.parse(pattern.pattern, pattern.flags)
    found = []
    if any(True for _ in unlimited(parsed, BACKTRACKING)):
        found.append("an unlimited quantifier is not possessive")
    every = (*BACKTRACKING, op.POSSESSIVE_REPEAT)
    if any(True for _ in unlimited(parsed, every)) and not is_anchored(parsed):
        found.append("it begins with neither an anchor nor a lookbehind")
    return found


def unlimited(parsed: Any, operations: tuple[Any, ...]) -> Iterator[Any]:
    for operation, arguments in parsed:
        if operation in operations and arguments[1] >= ENDLESS:
            yield operation
        yield from inside(arguments, operations)


def inside(arguments: Any, operations: tuple[Any, ...]) -> Iterator[Any]:
    if isinstance(arguments, parser.SubPattern):
        yield from unlimited(arguments, operations)
    elif isinstance(arguments, tuple | list):
        for argument in arguments:
            yield from inside(argument, operations)


def is_anchored(parsed: Any) -> bool:
    operation, arguments = parsed[0]
    if operation is op.SUBPATTERN:
        return is_anchored(arguments[-1])
    if operation is op.BRANCH:
        return all(is_anchored(branch) for branch in arguments[1])
    if operation in (op.ASSERT, op.ASSERT_NOT):
        return arguments[0] == -1  # a lookbehind
    return operation is op.AT and arguments is op.AT_BEGINNING_STRING


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        (r"\b[\w-]*(?:token)=", 2),
        (r"(\w+://)[^@]+@", 2),
        (r"\A(a*)*\Z", 1),
        (r"\A(?:a|b++)+?x", 1),
        (r"\Aa{1,5000}b", 1),
        (r"[a-z]*+x", 1),
        (r"(?<!\w)[a-z]*+x", 0),
        (r"(?:(?<!\w)|(?<=%40))[a-z]*+x", 0),
        (r"\A[a-z]{0,63}\Z", 0),
        (r"_[hb]\Z", 0),
    ],
)
def test_the_two_rules(pattern: str, count: int):
    assert len(faults(re.compile(pattern))) == count


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if may_use_patterns(path)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_patterns_are_constants_that_follow_the_rules(path: Path):
    tree = syntax_tree(path)
    made = {ast.unparse(call.func) for call in calls(tree, "re")} - {"re.compile"}
    assert not made - {"re.escape"}, "compile it as a constant of the module"
    found = patterns_of(path)
    compiled_calls = [*calls(tree, "compile"), *calls(tree, "RegexValidator")]
    assert len(found) == len(compiled_calls), "compile it as a constant of the module"
    assert {pattern.pattern: faults(pattern) for pattern in found} == {
        pattern.pattern: [] for pattern in found
    }


# --- JSON Schema ----------------------------------------------------------------------


def test_schemas_are_checked_by_an_engine_that_never_backtracks():
    """The engine refuses lookaround and back-references with an error."""
    with pytest.raises(jsonschema_rs.ValidationError):
        make_validator({"type": "string", "pattern": r"^(a+)\1$"})
    for path in SOURCES:
        if path.name != "json_errors.py":
            assert not list(calls(syntax_tree(path), "Draft202012Validator")), path


@pytest.mark.parametrize(
    "path",
    [path for app in APPS for path in sorted((ROOT / app).rglob("*.schema.json"))],
    ids=lambda path: path.name,
)
def test_no_schema_repeats_the_same_characters_twice_in_a_row(path: Path):
    """Apps may use an engine that backtracks: ``[ab]+[abc]*$`` tries every split."""
    for pattern in schema_patterns(json.loads(path.read_text())):
        parsed = parser.parse(pattern)
        assert not list(neighbours(parsed)), pattern


def schema_patterns(place: Any) -> Iterator[str]:
    if isinstance(place, dict):
        if isinstance(place.get("pattern"), str):
            yield place["pattern"]
        for item in place.values():
            yield from schema_patterns(item)
    elif isinstance(place, list):
        for item in place:
            yield from schema_patterns(item)


def begins_with_a_letter(parsed: Any) -> bool:
    """Whether it begins with a literal, such as the slash before each folder."""
    operation, arguments = parsed[0]
    if operation is op.SUBPATTERN:
        return begins_with_a_letter(arguments[-1])
    return operation is op.LITERAL


def neighbours(parsed: Any) -> Iterator[Any]:
    """Yield unlimited quantifiers that directly follow another one."""
    before = False
    for operation, arguments in parsed:
        now = operation in BACKTRACKING and arguments[1] >= ENDLESS
        if now and before and not begins_with_a_letter(arguments[2]):
            yield operation
        before = now
        if operation is op.SUBPATTERN:
            yield from neighbours(arguments[-1])
        elif operation is op.BRANCH:
            for branch in arguments[1]:
                yield from neighbours(branch)
        elif operation in BACKTRACKING:
            yield from neighbours(arguments[2])
