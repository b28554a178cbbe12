"""No function of dibs is longer than a screen, its documentation included: a help text of a command, too."""

import ast
from pathlib import Path

import dibs

MOST = 60


def test_no_function_has_more_lines_than_a_screen():
    long = [
        f"{path.name} {node.name}: {node.end_lineno - node.lineno + 1}"
        for path in Path(dibs.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > MOST
    ]
    assert long == []
