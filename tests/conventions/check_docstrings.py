"""Docstrings name the arguments that there are."""

import ast
import re

import pytest

from tests.support.paths import ROOT

ARGS = re.compile(r"^Args:\n((?: .*\n?|\n)+)", re.MULTILINE)
NAME = re.compile(r"^    \*{0,2}(\w+)(?: \(.*?\))?:", re.MULTILINE)


def arguments_of(node):
    """Arguments of a function or of a class's constructor; of a dataclass its fields."""
    if isinstance(node, ast.ClassDef):
        constructors = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
        if not constructors:
            return {item.target.id for item in node.body if isinstance(item, ast.AnnAssign)}
        node = constructors[0]
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {argument.arg for argument in every if argument} - {"self", "cls"}


def documented(text):
    """(line and name, documented arguments, arguments) of each function and class with a section of arguments."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            section = ARGS.search(ast.get_docstring(node) or "")
            if section:
                yield f"{node.lineno} {node.name}", set(NAME.findall(section[1])), arguments_of(node)


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_name_the_arguments(path):
    wrong = {place: names ^ actual for place, names, actual in documented(path.read_text()) if names != actual}
    assert not wrong
