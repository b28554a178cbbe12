"""dibs: share any Python generator with any number of threads, processes and machines.

Every value goes to exactly one caller: none twice, none skipped, through retries, crashes and restarts.
This package is the part for threads of one process; ``dibs serve`` is the part for a fleet.
"""

from app.iterators import ThreadSafeGenerator, ThreadSafeIterator, threadsafe_generator, threadsafe_iter

__all__ = ["ThreadSafeGenerator", "ThreadSafeIterator", "threadsafe_generator", "threadsafe_iter"]
