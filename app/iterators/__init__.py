"""Share one iterator or generator between threads: every value goes to exactly one of them.

`threadsafe_generator` decorates a generator function, `threadsafe_iter` wraps an iterator;
`ThreadSafeGenerator` and `ThreadSafeIterator` are what they give. Standard library only, no I/O.
"""

from .core import ThreadSafeIterator
from .decorator import threadsafe_generator, threadsafe_iter
from .generator import ThreadSafeGenerator
from .hold import Hold
from .stats import IteratorStats, State

__all__ = [
    "Hold",
    "IteratorStats",
    "State",
    "ThreadSafeGenerator",
    "ThreadSafeIterator",
    "threadsafe_generator",
    "threadsafe_iter",
]
