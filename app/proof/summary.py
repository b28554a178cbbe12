"""The end of a load test for people: throughput, latencies, the verdict."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .histories import AnyVerdict
from .progress import in_ms, percentile
from .report import rendered
from .stage import Result
from .work.report import work_rendered
from .work.rules import WorkVerdict

_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


def show_result(result: Result, console: Console) -> None:
    """Print the result; failures come last, where a reader sees them."""
    console.print(_numbers(result))
    console.print(Text(result.bottleneck), soft_wrap=True)
    show(result.verdict, console)
    if result.history is not None:
        console.print(Text(f"History: {result.history}  (dibs verify {result.history})"), soft_wrap=True)
    for remark in result.remarks:
        console.print(Text(remark), soft_wrap=True)
    if result.interrupted:
        console.print(
            Text("Stopped by Ctrl-C: the verdict is about what was asked until then.", style="yellow")
        )
    if result.fault:
        console.print(Text(f"Fault of the test: {result.fault}", style="bold yellow"))


def show(verdict: AnyVerdict, console: Console) -> None:
    """Print a verdict of either kind."""
    console.print(work_rendered(verdict) if isinstance(verdict, WorkVerdict) else rendered(verdict))


def _numbers(result: Result) -> Table:
    items, answers, seconds = result.verdict.totals.items, len(result.latencies), result.seconds or 1e-9
    latencies = "   ".join(
        f"{name} {in_ms(percentile(result.latencies, share))}" for name, share in _SHARES.items()
    )
    table = Table.grid(padding=(0, 2))
    table.add_row("throughput", f"{items / seconds:,.0f} items/s, {answers / seconds:,.0f} answers/s")
    table.add_row("latency", latencies)
    return table
