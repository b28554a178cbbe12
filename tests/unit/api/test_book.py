"""The book of tokens tells of each caller that may ask no more."""

import asyncio
from dataclasses import replace

import pytest
from dibs.access.book import Book
from dibs.access.roles import Grant, Grants
from dibs.ledger.access import AddToken


class Shelf:
    """Keeps nothing; its clock stands until it is set."""

    time = 1_000

    def access_tokens(self):
        return []

    def now(self):
        return self.time

    async def commit(self, op):
        assert isinstance(op, AddToken)
        return replace(op.token, created=self.time, expires=None if op.ttl is None else self.time + op.ttl)


@pytest.mark.parametrize("again", [False, True])
def test_who_is_let_in_by_a_token_that_expires_is_told_of_as_it_does(again):
    async def told():
        shelf, lost = Shelf(), asyncio.Queue()
        book = Book(shelf, (), locked=True, lost=[lost.put_nowait])
        token, _ = await book.new("ann", Grants([Grant("read")]), ttl=10, maker="x")
        if again:  # as after a restart
            shelf.access_tokens = lambda: [token]
            book = Book(shelf, (), locked=True, lost=[lost.put_nowait])
        caller = book.owner(token.id)
        assert lost.empty()
        shelf.time += 10
        found = await lost.get()
        while found is not caller:  # that of the book before the restart
            found = await lost.get()
        assert not book.good(caller)

    asyncio.run(told())
