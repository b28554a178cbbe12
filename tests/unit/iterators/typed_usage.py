"""How the types come out: read by a type checker (test_typing.py runs mypy over it), and runs as it is."""

from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Sequence
from typing import Any, assert_type

from dibs.iterators import (
    Hold,
    IteratorStats,
    ThreadSafeGenerator,
    ThreadSafeIterator,
    threadsafe_generator,
    threadsafe_iter,
)


@threadsafe_generator
def echo(times: int, *, word: str = "x") -> Generator[str, bytes, float]:
    for _ in range(times):
        yield word
    return 1.5


@threadsafe_generator
def numbers(last: int) -> Iterator[int]:
    yield from range(last)


@threadsafe_generator
def texts() -> Iterable[str]:
    yield "a"


@threadsafe_generator(fair=True)
def fairly(last: int) -> Generator[int, None, None]:
    yield from range(last)


@threadsafe_generator(resume="anew")
def search(times: int, *, word: str = "x") -> Iterator[str]:
    for _ in range(times):
        yield word


@threadsafe_generator(fair=True, resume="anew")
def fair_search() -> Generator[int, str, bytes]:
    yield 1
    return b""


class Box:
    @threadsafe_generator(resume="anew")
    def seek(self, times: int = 1) -> Iterator[int]:
        yield times

    @threadsafe_generator
    def inside(self, times: int = 1) -> Iterator[int]:
        yield times

    @staticmethod
    @threadsafe_generator
    def static(last: int) -> Iterator[int]:
        yield last

    @classmethod
    @threadsafe_generator
    def of_class(cls, last: int) -> Iterator[int]:
        yield last


def decorated() -> None:
    assert_type(echo(3, word="a"), ThreadSafeGenerator[str, bytes, float])
    assert_type(echo(3).send(b"x"), str)
    assert_type(numbers(3), ThreadSafeGenerator[int, Any, Any])
    assert_type(texts(), ThreadSafeGenerator[str, Any, Any])
    assert_type(fairly(3), ThreadSafeGenerator[int, None, None])
    assert_type(search(3, word="a"), ThreadSafeGenerator[str, Any, Any])
    assert_type(fair_search(), ThreadSafeGenerator[int, str, bytes])
    assert_type(Box().seek(times=2), ThreadSafeGenerator[int, Any, Any])
    assert_type(Box().inside(times=2), ThreadSafeGenerator[int, Any, Any])
    assert_type(Box.static(1), ThreadSafeGenerator[int, Any, Any])
    assert_type(Box.of_class(1), ThreadSafeGenerator[int, Any, Any])


def iterators(plain: Iterator[bool], generator: Generator[int, str, bytes]) -> None:
    shared = ThreadSafeIterator(plain)
    assert_type(shared, ThreadSafeIterator[bool])
    assert_type(next(shared), bool)
    assert_type(shared.take(3), Sequence[bool])
    assert_type(shared.pull(timeout=1), bool)
    assert_type(shared.stats(), IteratorStats)
    assert_type(shared.hold(), Hold[bool])
    with shared.hold() as held:
        assert_type(held.take(2), Sequence[bool])
    wider: ThreadSafeIterator[int] = shared
    either: Iterator[object] | AsyncIterator[object] = wider
    print(either)
    assert_type(threadsafe_iter(generator), ThreadSafeGenerator[int, str, bytes])
    assert_type(threadsafe_iter(plain), ThreadSafeIterator[bool])
    as_generator: Generator[int, str, bytes] = threadsafe_iter(generator)
    print(as_generator)


async def asynchronous(shared: ThreadSafeIterator[int]) -> None:
    async for value in shared:
        assert_type(value, int)


def refused() -> None:
    echo("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    echo(3, words="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    echo(3).send("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    search("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    threadsafe_generator(resume="again")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Box().inside("2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    threadsafe_generator(len)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
