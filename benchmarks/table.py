"""The table of the benchmarks: its rows, how two things are timed in turn, and how the table is written."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

HEADINGS = ("what", "value", "unit", "against", "ratio", "limit", "", "also")
NOT_MEASURED, FAILED, OVER, WITHIN = "not measured", "failed", "over", "ok"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    `value` is in `unit`; None when nothing could be measured, and then `note` says why. `ratio` is the value divided
    by that of `against`. `limit` holds for the ratio where there is one, else for the value. `also` are further
    numbers, named with their units ("p95, ms").
    """

    name: str
    value: float | None = None
    unit: str = ""
    against: str = ""
    ratio: float | None = None
    limit: float | None = None
    also: dict[str, float] = field(default_factory=dict)
    note: str = ""
    failed: bool = False

    @property
    def verdict(self) -> str:
        """One of "ok", "over", "not measured", "failed"; "" for a row without a limit."""
        if self.failed:
            return FAILED
        if self.value is None:
            return NOT_MEASURED
        if self.limit is None:
            return ""
        return WITHIN if (self.value if self.ratio is None else self.ratio) <= self.limit else OVER


def interleaved(
    contenders: dict[str, Callable[[], float]], rounds: int, warm_up: int = 1
) -> dict[str, tuple[float, ...]]:
    """What each contender returns (its seconds), `rounds` times, called one after the other in every round.

    Other work on the machine then meets all of them alike. The first `warm_up` rounds are not counted.
    """
    found = [{name: run() for name, run in contenders.items()} for _ in range(warm_up + rounds)]
    return {name: tuple(one[name] for one in found[warm_up:]) for name in contenders}


def median_ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios one / other of each round; the two sequences are equally long and not empty."""
    return statistics.median(one / other for one, other in zip(ones, others, strict=True))


def p95(values: Sequence[float]) -> float:
    """The value that 95 of 100 do not exceed, interpolated; of at least two values."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def cpu_seconds(run: Callable[[], object]) -> float:
    """The processor time of this process that `run` takes."""
    started = time.process_time()
    run()
    return time.process_time() - started


def wall_seconds(run: Callable[[], object]) -> float:
    """How long one waits for `run`."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def compared(
    name: str,
    measured: dict[str, tuple[float, ...]],
    one: str,
    other: str,
    unit: str = "ms",
    limit: float | None = None,
    **more: object,
) -> Row:
    """The row that sets `one` against `other` of what `interleaved` found; `unit` is "ms" or "s".

    Further arguments are those of Row.
    """
    scale = {"ms": 1000, "s": 1}[unit]
    value = scale * statistics.median(measured[one])
    return Row(name, value, unit, other, median_ratio(measured[one], measured[other]), limit, **more)


def markdown(title: str, groups: dict[str, list[Row]]) -> str:
    """All rows as one markdown table, below a line that says where they were measured."""
    lines = [title, "", _line(HEADINGS), _line(["---", "---:", "---", "---", "---:", "---:", "---", "---"])]
    for name, rows in groups.items():
        lines.append(_line([f"**{name}**", *[""] * (len(HEADINGS) - 1)]))
        lines += [_line(_cells(row)) for row in rows]
    return "\n".join(lines) + "\n"


def as_json(title: str, groups: dict[str, list[Row]]) -> str:
    """The same table for programs: {"measured": title, "rows": [{"benchmark": …, "verdict": …, …}]}."""
    rows = [
        {"benchmark": name, "verdict": row.verdict, **asdict(row)} for name, group in groups.items() for row in group
    ]
    return json.dumps({"measured": title, "rows": rows}, indent=2, ensure_ascii=False) + "\n"


def exit_code(groups: dict[str, list[Row]], check: bool) -> int:
    """1 when a benchmark failed or, with `check`, a limit is exceeded; else 0."""
    verdicts = {row.verdict for rows in groups.values() for row in rows}
    return int(FAILED in verdicts or (check and OVER in verdicts))


def _cells(row: Row) -> list[str]:
    also = [f"{name} {_number(value)}" for name, value in row.also.items()]
    return [
        row.name,
        _number(row.value),
        row.unit,
        row.against,
        _number(row.ratio),
        "" if row.limit is None else f"{row.limit:g} {row.unit if row.ratio is None else '×'}",
        row.verdict,
        "; ".join([*also, *filter(None, [row.note])]),
    ]


def _number(value: float | None) -> str:
    """Three significant digits, without an exponent from 0.001 on; "" for None."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
