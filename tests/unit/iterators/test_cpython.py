"""CPython's own tests of generators, with every generator function in them decorated.

They come with the interpreter that runs this (its ``test`` package; some systems leave it out). Everything in
them passes but what is listed here, each with its reason.
"""

import ast
import doctest
import importlib.util
import io
import pathlib
import sys
import types
import unittest
import warnings

import pytest
from dibs.iterators import threadsafe_generator

KNOWN = {(3, 11), (3, 12), (3, 13)}
"""The versions for which the lists below were made."""

FAILED = "a generator that raised is failed for every later caller; a plain one only says StopIteration"
CLOSED = "a generator that was closed before its end says so; a plain one says StopIteration"
REENTRANT = "a thread that comes back in gets ReentrantPull, not ValueError: other threads wait instead"
TYPE = "a shared generator has a type of its own"
FRAMES = "our own frames stand between a generator and its caller"
NAMES = "the names and the state of a shared generator can't be set"

TESTS = {
    "test.test_generators": {
        "ExceptionTest.test_except_throw_bad_exception": FAILED,
        "GeneratorStackTraceTest.test_send_with_yield_from": FRAMES,
        "GeneratorStackTraceTest.test_throw_with_yield_from": FRAMES,
        "GeneratorTest.test_name": NAMES,
        "SignalAndYieldFromTest.test_raise_and_yield_from": TYPE,  # a function in C that takes no other
    },
    "test.test_contextlib": {},
    "test.test_yield_from": {
        **{
            f"TestInterestingEdgeCases.test_close_and_throw_{how}": f"{CLOSED}; {FAILED}"
            for how in (
                *("raise_base_exception", "raise_exception", "raise_generator_exit"),
                *("raise_stop_iteration", "return", "work", "yield"),
            )
        },
        "TestPEP380Operation.test_attempted_yield_from_loop": REENTRANT,
        "TestPEP380Operation.test_delegating_generators_claim_to_be_running": REENTRANT,
    },
}
"""Of each module, the tests that don't pass."""

EXAMPLES = {
    ("coroutine", "type(f())"): TYPE,
    ("coroutine", "type(g)"): TYPE,
    ("coroutine", "g.send(2)"): FAILED,
    ("coroutine", "g.throw(ValueError,6)       # throw on closed generator"): FAILED,
    ("coroutine", "levels"): FRAMES,
    ("email", "type(i)"): TYPE,
    ("email", "isinstance(i, types.GeneratorType)"): TYPE,
    ("email", "[s for s in dir(i) if not s.startswith('_')]"): TYPE,
    ("email", "print(i.__next__.__doc__ if HAVE_DOCSTRINGS else 'Implement next(self).')"): TYPE,
    ("email", "i.gi_running = 42"): NAMES,  # an AttributeError here, too, in other words
    ("pep", "next(me)"): REENTRANT,
    ("pep", "next(k)  # and the generator cannot be resumed"): FAILED,
    ("syntax", "type(f())"): TYPE,
    ("syntax", "g.gi_code is f.__code__"): "the code of a decorated function is that of its wrapper",
    ("syntax", "repr(g)  # doctest: +ELLIPSIS"): TYPE,
}
"""Of each docstring of test_generators, the examples that don't give what stands there."""


class Decorate(ast.NodeTransformer):
    """Puts ``@threadsafe_generator`` right above each generator function, below its other decorators."""

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        if yields(node):
            node.decorator_list.append(ast.Name("threadsafe_generator", ast.Load()))
        return node


def yields(function):
    inside = list(function.body)
    while inside:
        node = inside.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            inside.extend(ast.iter_child_nodes(node))
    return False


def decorated(source):
    return ast.fix_missing_locations(Decorate().visit(ast.parse(source)))


class Parser(doctest.DocTestParser):
    def get_examples(self, string, name="<string>"):
        examples = super().get_examples(string, name)
        for example in examples:
            try:
                source = ast.unparse(decorated(example.source))
            except SyntaxError:  # which is what it shows
                continue
            if "@threadsafe_generator" in source:
                example.source = f"{source}\n"
        return examples


@pytest.fixture
def module(request, monkeypatch):
    name = request.param
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    if found is None or not found.origin:
        pytest.skip(f"this interpreter comes without {name}")
    if sys.version_info[:2] not in KNOWN:
        pytest.skip(f"nobody has looked at {name} of this version yet")
    made = types.ModuleType(name)
    made.__file__ = found.origin
    made.threadsafe_generator = threadsafe_generator
    monkeypatch.setitem(sys.modules, name, made)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = decorated(pathlib.Path(found.origin).read_text(encoding="utf-8"))
        exec(compile(source, found.origin, "exec"), made.__dict__)
        yield made


def each(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from each(test)
        elif not isinstance(test, doctest.DocTestCase):
            yield test


@pytest.mark.parametrize("module", TESTS, indirect=True)
def test_its_tests(module):
    listed = TESTS[module.__name__]
    ran, wrong = 0, {}
    for test in each(unittest.TestLoader().loadTestsFromModule(module)):
        result = unittest.TestResult()
        test.run(result)
        ran += not result.skipped
        name = test.id().removeprefix(f"{module.__name__}.")
        problems = [trace for _, trace in result.errors + result.failures]
        if bool(problems) != (name in listed and not result.skipped):
            wrong[name] = problems or "passes, but is listed"
    assert not wrong
    assert ran > 25


@pytest.mark.parametrize("module", ["test.test_generators"], indirect=True)
def test_its_examples(module):
    ran, wrong = 0, {}
    for docstring in doctest.DocTestFinder(parser=Parser()).find(module, globs=dict(module.__dict__)):
        runner = Runner(verbose=False)
        runner.run(docstring, out=io.StringIO().write)
        ran += runner.tries
        name = docstring.name.rpartition(".")[2]
        wrong |= {(name, source.strip()): got for source, got in runner.wrong.items()}
    assert {key: got for key, got in wrong.items() if key not in EXAMPLES} == {}
    assert EXAMPLES.keys() == wrong.keys(), "what passes is not to be listed"
    assert ran > 200


class Runner(doctest.DocTestRunner):
    def __init__(self, **options):
        super().__init__(**options)
        self.wrong = {}

    def report_failure(self, out, test, example, got):
        self.wrong[example.source] = got

    def report_unexpected_exception(self, out, test, example, exc_info):
        self.wrong[example.source] = f"{exc_info[0].__name__}: {exc_info[1]}"
