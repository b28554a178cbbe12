"""The floor: a FastAPI ``def`` endpoint with the signature and the answer of POST /next, from memory.

It hands out a number under a lock, keeps nothing and syncs nothing.
"""

import threading
from typing import Annotated

from fastapi import FastAPI, Header, Query
from pydantic import BaseModel

app = FastAPI()
lock = threading.Lock()
state = {"seq": 0}


class Item(BaseModel):
    queue: str
    seq: int
    value: int


@app.post("/next")
def take(
    count: Annotated[int | None, Query(ge=1, le=10_000)] = None,
    wait: Annotated[float, Query(ge=0, le=30)] = 0.0,
    idempotency_key: Annotated[str | None, Header(max_length=257)] = None,
    accept: Annotated[str, Header()] = "*/*",
) -> Item:
    with lock:
        state["seq"] += 1
        return Item(queue="default", seq=state["seq"], value=state["seq"])
