"""The end of a load test for people: throughput, latencies, the verdict."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .load import Result
from .progress import in_ms, percentile
from .report import rendered

_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


def show_result(result: Result, console: Console) -> None:
    """Print the result; failures come last, where a reader sees them."""
    console.print(_numbers(result))
    console.print(Text(result.bottleneck), soft_wrap=True)
    console.print(rendered(result.verdict))
    lines = [] if result.history is None else [f"History: {result.history}  (dibs verify {result.history})"]
    for line in [*lines, *result.remarks]:
        console.print(Text(line), soft_wrap=True)
    if result.interrupted:
        stopped = "Stopped by Ctrl-C: the verdict is about what was asked until then."
        console.print(Text(stopped, style="yellow"))
    if result.fault:
        console.print(Text(f"Fault of the test: {result.fault}", style="bold yellow"))


def _numbers(result: Result) -> Table:
    items, answers, seconds = result.verdict.totals["items"], len(result.latencies), result.seconds or 1e-9
    latencies = "   ".join(
        f"{name} {in_ms(percentile(result.latencies, share))}" for name, share in _SHARES.items()
    )
    table = Table.grid(padding=(0, 2))
    table.add_row("throughput", f"{items / seconds:,.0f} items/s, {answers / seconds:,.0f} answers/s")
    table.add_row("latency", latencies)
    return table
