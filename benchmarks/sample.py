"""Sample against the plain way in torch: softmax, top-k, top-p and min-p by sorting, multinomial.

Times are medians over rounds in which everybody takes a turn, of draws from float32 scores with
their random numbers, by the public `Sample.draw`. Two ways in torch are plain, with multinomial:
`masked` cuts whole rows, as most programs do; `sorted` goes on with the sorted classes that are
left. `searched` is that with a cumulative sum and a binary search in place of multinomial.
Before it is timed everybody has drawn: a chi-squared test holds the draws against the distribution
in float64, and of 10,000 draws at most one may be of a class that is cut there.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from scipy.stats import chisquare

from benchmarks.report import duration, machine, print_facts, times
from benchmarks.tables import markdown_table
from benchmarks.timing import Call, Case, Contest, all_cpus, hold, using
from luce.decisions import Sample

SHAPES = ((1, 256_000), (64, 32_000), (1000, 1000), (100_000, 10))
TEMPERATURE = 0.8
CHANCE = 1e-6
BINS = 20
GOAL = 5.0
PLAIN = ("torch masked", "torch sorted")
WAYS = (*PLAIN, "torch searched")
HEADER = ["shape", "setting", "threads", "luce", *WAYS, "ratio to plain", "to the quickest"]
PAGE = """# Sampling

```text
env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE \\
    python -m benchmarks.sample --results sample.jsonl --docs docs
```

{about}

The goal is {goal:g} times the speed of the plain way: reached in {reached} of {rows} rows, with the
quicker of the two each time; the least ratio is {least}. Against the quickest of all three it is
reached in {reached_all}; there the least ratio is {least_all}.

"""


@dataclass(frozen=True)
class Setting:
    """What is cut: by name, and as parameters of `Sample`."""

    name: str
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0


def settings(classes: int) -> list[Setting]:
    """The settings for rows of so many classes."""
    k = min(50, classes // 2)
    return [
        Setting("plain"),
        Setting(f"top_k={k}", top_k=k),
        Setting("top_p=0.9", top_p=0.9),
        Setting("min_p=0.05", min_p=0.05),
        Setting("all three", top_k=k, top_p=0.9, min_p=0.05),
    ]


@lru_cache(maxsize=1)
def scores_of(shape: tuple[int, int]) -> np.ndarray:
    return 3 * np.random.default_rng(7).standard_normal(shape, np.float32)


def masked(scores: torch.Tensor, setting: Setting) -> torch.Tensor:
    x = scores / TEMPERATURE
    if setting.top_k is not None:
        least = torch.topk(x, setting.top_k).values[:, -1:]
        x = x.masked_fill(x < least, -torch.inf)
    if setting.top_p < 1:
        ordered, places = torch.sort(x, descending=True)
        shares = ordered.softmax(-1)
        cut = shares.cumsum(-1) - shares >= setting.top_p
        x = x.masked_fill(cut.scatter(-1, places, cut), -torch.inf)
    shares = x.softmax(-1)
    if setting.min_p > 0:
        least = setting.min_p * shares.max(-1, keepdim=True).values
        shares = shares.masked_fill(shares < least, 0)
    return torch.multinomial(shares, 1)


def search(shares: torch.Tensor) -> torch.Tensor:
    sums = shares.cumsum(-1)
    wanted = torch.rand(len(shares), 1) * sums[:, -1:]
    return torch.searchsorted(sums, wanted, right=True).clamp_(max=shares.shape[1] - 1)


def ordered(
    draw: Callable[[torch.Tensor], torch.Tensor], scores: torch.Tensor, setting: Setting
) -> torch.Tensor:
    x, places = scores / TEMPERATURE, None
    if setting.top_k is not None:
        x, places = torch.topk(x, setting.top_k)
    elif setting.top_p < 1:
        x, places = torch.sort(x, descending=True)
    shares = x.softmax(-1)
    if setting.top_p < 1:
        shares = shares.masked_fill(shares.cumsum(-1) - shares >= setting.top_p, 0)
    if setting.min_p > 0:
        most = shares.max(-1, keepdim=True).values if places is None else shares[:, :1]
        shares = shares.masked_fill(shares < setting.min_p * most, 0)
    drawn = draw(shares)
    return drawn if places is None else places.gather(-1, drawn)


def players(scores: np.ndarray, setting: Setting) -> dict[str, Call]:
    """Who draws from the scores."""
    tensor = torch.from_numpy(scores)
    rule = Sample(TEMPERATURE, setting.top_k, setting.top_p, setting.min_p)
    random = np.random.default_rng(0)
    return {
        "luce": lambda: rule.draw(scores, random),
        "torch masked": lambda: masked(tensor, setting),
        "torch sorted": lambda: ordered(partial(torch.multinomial, num_samples=1), tensor, setting),
        "torch searched": lambda: ordered(search, tensor, setting),
    }


def distribution(scores: np.ndarray, setting: Setting) -> np.ndarray:
    """What is drawn from, in float64; rows and classes."""
    x = scores.astype(np.float64) / TEMPERATURE
    order = np.argsort(-x, axis=1, kind="stable")
    shares = np.exp(np.take_along_axis(x, order, axis=1) - x.max(axis=1, keepdims=True))
    shares[:, scores.shape[1] if setting.top_k is None else setting.top_k :] = 0
    held = shares.cumsum(axis=1)
    shares[held - shares >= setting.top_p * held[:, -1:]] = 0
    shares[shares < setting.min_p * shares[:, :1]] = 0
    shares /= shares.sum(axis=1, keepdims=True)
    kept = np.empty_like(shares)
    np.put_along_axis(kept, order, shares, axis=1)
    return kept


class Judge:
    """Draws against the distribution: the place of each in its row's sums should be uniform.

    A place is drawn within the class's own share, once with the classes as they stand and once from
    the likeliest on. At a cut, rounding may let in a class that float64 leaves out: so few draws of
    these are forgiven.
    """

    def __init__(self, shares: np.ndarray) -> None:
        self.random = np.random.default_rng(1)
        self.orders = [np.broadcast_to(np.arange(shares.shape[1]), shares.shape)]
        self.orders.append(np.argsort(-shares, axis=1, kind="stable"))
        self.shares = shares

    def problem(self, calls: int, call: Call) -> str | None:
        """What is wrong with the draws of so many calls, or None."""
        draws = [np.asarray(call()).reshape(-1) for _ in range(calls)]
        rows = np.arange(len(self.shares))
        cut = sum(int((self.shares[rows, drawn] == 0).sum()) for drawn in draws)
        if cut > 1e-4 * calls * len(rows):
            return f"{cut} draws of classes that are cut"
        for order in self.orders:
            before = np.empty_like(self.shares)
            ranked = np.take_along_axis(self.shares, order, axis=1)
            np.put_along_axis(before, order, ranked.cumsum(axis=1) - ranked, axis=1)
            places = [
                before[rows, drawn] + self.shares[rows, drawn] * self.random.random(len(rows))
                for drawn in draws
            ]
            counts = np.histogram(np.concatenate(places), BINS, (0, 1 + 1e-12))[0]
            if not (chance := chisquare(counts).pvalue) >= CHANCE:
                return f"draws have a chance of {chance:.1e}"
        return None


def cases(only: str) -> Iterator[tuple[Case, Setting]]:
    for shape in SHAPES:
        for setting in settings(shape[1]):
            for threads in sorted({1, all_cpus()}):
                case = Case(setting.name, shape, threads=threads)
                if all(word in str(case) for word in only.split()):
                    yield case, setting


def measure(case: Case, setting: Setting, rounds: int) -> dict[str, Any]:
    """One row: median seconds of everybody, and what was wrong."""
    scores = scores_of(case.shape)  # type: ignore[arg-type]
    who = players(scores, setting)
    judge = Judge(distribution(scores, setting))
    calls = ceil(400 / case.shape[0])
    with using(case.threads):
        problems = {name: judge.problem(calls, call) for name, call in who.items()}
    row = hold(case, Contest(who, lambda answer, strict: None, lambda: None), rounds, 0.004)
    wrong = [f"{case}: {name}: {problem}" for name, problem in problems.items() if problem]
    return {
        "shape": case.size,
        "setting": case.operation,
        "threads": case.threads,
        "seconds": row.seconds,
        "failures": row.failures + wrong,
    }


def ratio_of(row: dict[str, Any], ways: tuple[str, ...]) -> float:
    """The time of the quickest of these ways by luce's."""
    return float(min(row["seconds"][way] for way in ways) / row["seconds"]["luce"])


def cells(row: dict[str, Any]) -> list[str]:
    seconds = [duration(row["seconds"][name]) or "" for name in ("luce", *WAYS)]
    ratios = [times(ratio_of(row, ways)) or "" for ways in (PLAIN, WAYS)]
    return [row["shape"], row["setting"], str(row["threads"]), *seconds, *ratios]


def page(facts: dict[str, str], rows: list[dict[str, Any]]) -> str:
    """All of docs/sample-speed.md."""
    plain, all_ways = ([ratio_of(row, ways) for row in rows] for ways in (PLAIN, WAYS))
    heading = PAGE.format(
        about=(__doc__ or "").partition("\n\n")[2].strip(),
        goal=GOAL,
        reached=sum(ratio >= GOAL for ratio in plain),
        rows=len(rows),
        least=times(min(plain)),
        reached_all=sum(ratio >= GOAL for ratio in all_ways),
        least_all=times(min(all_ways)),
    )
    told = "\n".join(f"- {name}: {fact}" for name, fact in facts.items())
    return heading + told + "\n\n" + markdown_table(HEADER, [cells(row) for row in rows], 2)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default="", help="rows with these words: '1000x1000 threads=1'")
    parser.add_argument("--rounds", type=int, default=9, help="turns of every contestant")
    parser.add_argument("--results", type=Path, help="file that rows are added to, and read from")
    parser.add_argument("--docs", type=Path, help="folder to write sample-speed.md to")
    options = parser.parse_args()
    out = Console()
    facts = machine()
    print_facts(out, facts)
    found = {}
    if options.results and options.results.exists():
        lines = map(json.loads, options.results.read_text().splitlines())
        found = {(row["shape"], row["setting"], row["threads"]): row for row in lines}
    for case, setting in cases(options.only):
        row = measure(case, setting, options.rounds)
        found[row["shape"], row["setting"], row["threads"]] = row
        if options.results:
            with options.results.open("a") as lines:
                lines.write(json.dumps(row) + "\n")
        for failure in row["failures"]:
            out.print(f"[bold red]WRONG[/] {failure}", highlight=False, soft_wrap=True)
    wanted = [(case.size, setting.name, case.threads) for case, setting in cases("")]
    rows = [found[key] for key in wanted if key in found]
    out.print(markdown_table(HEADER, [cells(row) for row in rows], 2), highlight=False)
    if options.docs:
        (options.docs / "sample-speed.md").write_text(page(facts, rows), encoding="utf-8")
    return 1 if any(row["failures"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
