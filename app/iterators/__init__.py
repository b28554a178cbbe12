"""Share one iterator or generator between threads: every value to exactly one of them.

`threadsafe_generator` decorates a generator function, `threadsafe_iter` wraps an iterator;
`ThreadSafeGenerator` and `ThreadSafeIterator` are what they give. Standard library only, no I/O.
"""

from app.iterators.core import ThreadSafeIterator
from app.iterators.decorator import threadsafe_generator, threadsafe_iter
from app.iterators.generator import ThreadSafeGenerator
from app.iterators.hold import Hold
from app.iterators.stats import IteratorStats, State

__all__ = [
    "Hold",
    "IteratorStats",
    "State",
    "ThreadSafeGenerator",
    "ThreadSafeIterator",
    "threadsafe_generator",
    "threadsafe_iter",
]
