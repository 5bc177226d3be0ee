"""Runs a case of both sides in turns and takes medians."""

import gc
import os
import time
from statistics import median, quantiles


def operations(case, budget):
    """How many operations take about `budget` nanoseconds; finding out also warms the case up."""
    if n := case["count"]:
        case["run"](n)
        return n
    n = 1
    while (took := case["run"](n)) < budget / 4:
        n *= 2 if took > budget / 64 else 4
    return max(round(n * budget / took), 1)


def compare(stock, lisle, plan, tick):
    """Medians per operation of both sides after `plan.rounds` rounds of A B, B A, A B …; fewer rounds, but seven, of
    a case that takes longer than `plan.most` seconds."""
    sides = {"stock": stock, "lisle": lisle}
    counts = {name: operations(case, plan.budget) for name, case in sides.items()}
    times = {name: [] for name in sides}
    load, start = Load(), time.monotonic()
    for number in range(plan.rounds):
        order = list(sides)
        for name in order if number % 2 == 0 else order[::-1]:
            # What one side left behind is not to be collected in the other's time.
            gc.collect()
            times[name].append(sides[name]["run"](counts[name]) / counts[name])
        spent = (time.monotonic() - start) / plan.most
        tick(max((number + 1) / plan.rounds, min(spent, 1)))
        if spent > 1 and number >= 6:
            break
    low, _, high = quantiles((s / l for s, l in zip(times["stock"], times["lisle"])), n=4)
    stock_ns, lisle_ns = median(times["stock"]), median(times["lisle"])
    return {
        "stock_ns": round(stock_ns, 1),
        "lisle_ns": round(lisle_ns, 1),
        "ratio": round(stock_ns / lisle_ns, 3),
        # The middle half of the rounds' own ratios.
        "ratio_low": round(low, 3),
        "ratio_high": round(high, 3),
        "stock_min_ns": round(min(times["stock"]), 1),
        "lisle_min_ns": round(min(times["lisle"]), 1),
        "rounds": len(times["stock"]),
        "others": load.others(),
    }


class Load:
    """What other programs took of the cores since it was made, where Linux tells."""

    def __init__(self):
        self.start = self.now()

    @staticmethod
    def now():
        try:
            with open("/proc/stat") as stat:
                ticks = [int(word) for word in stat.readline().split()[1:9]]
        except OSError:
            return None
        idle = ticks[3] + ticks[4]
        own = time.process_time() * os.sysconf("SC_CLK_TCK")
        return sum(ticks) - idle, own, time.monotonic()

    def others(self):
        """The share of all cores, 0 to 1."""
        end = self.now()
        if end is None or self.start is None:
            return None
        busy, own, wall = (b - a for a, b in zip(self.start, end))
        all_ticks = wall * os.sysconf("SC_CLK_TCK") * (os.cpu_count() or 1)
        return round(max(busy - own, 0) / all_ticks, 3) if all_ticks else 0.0
