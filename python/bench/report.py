"""What a run says: a line for each case, what was missed, and the table of what free threads add up to."""

import sys


def goal(case, version, free_threaded):
    """The least ratio wanted of a case here: the goals are those of 3.13. Older and free-threaded interpreters are
    to reach 0.8 of them, but nothing is to be slower than stock."""
    full = case["goal"]
    if free_threaded and case.get("free_threaded"):
        return case["free_threaded"]
    if version >= (3, 13) and not free_threaded:
        return full
    floor = case.get("floor") or min(full, 1.0)
    return round(max(full * 0.8, floor), 2)


def span(ns):
    if ns < 1e3:
        return f"{ns:.3g} ns" if ns < 100 else f"{ns:.0f} ns"
    return f"{ns / 1e3:.3g} µs" if ns < 1e6 else f"{ns / 1e6:.3g} ms"


class Paint:
    def __init__(self, stream):
        self.on = stream.isatty()

    def __call__(self, code, text):
        return f"\x1b[{code}m{text}\x1b[0m" if self.on else text


paint = Paint(sys.stdout)
WIDTH = 48


def head():
    line = f"{'case':{WIDTH}} {'stock':>9} {'lisle':>9} {'ratio':>6}  {'middle half':13} {'goal':>7}"
    return paint("1", line)


def line(row):
    middle = f"{row['ratio_low']:.2f} .. {row['ratio_high']:.2f}"
    verdict = paint("32", "met") if row["met"] else paint("31", "missed")
    return (
        f"{row['case']:{WIDTH}} {span(row['stock_ns']):>9} {span(row['lisle_ns']):>9} "
        f"{row['ratio']:6.2f}  {middle:13} {'≥ ' + format(row['goal'], 'g'):>7} {verdict}"
    )


def scaling(rows):
    """Million operations per second of all threads together."""
    if not rows:
        return ""
    threads = sorted({row["scaling"]["threads"] for row in rows})
    columns = [(side, shared, count) for side in ("stock", "lisle") for shared in (True, False) for count in threads]
    heads = "".join(f"{count:>8}" for _, _, count in columns)
    groups = "".join(
        f"{f'{side}, {how}':>{8 * len(threads)}}" for side in ("stock", "lisle") for how in ("one", "private")
    )
    lines = ["", paint("1", "million operations per second, by threads"), f"{'':24}{groups}", f"{'':24}{heads}"]
    for operation in dict.fromkeys(row["scaling"]["operation"] for row in rows):
        found = {}
        for row in rows:
            if row["scaling"]["operation"] == operation:
                key = row["scaling"]["shared"], row["scaling"]["threads"]
                found["stock", *key], found["lisle", *key] = 1e3 / row["stock_ns"], 1e3 / row["lisle_ns"]
        cells = (f"{found[column]:8.2f}" if column in found else f"{'':8}" for column in columns)
        lines.append(f"{operation:24}{''.join(cells)}")
    return "\n".join(lines)


def closing(rows, path):
    missed = [row for row in rows if not row["met"]]
    busy = max((row["others"] or 0 for row in rows), default=0)
    text = [f"{len(rows) - len(missed)} of {len(rows)} goals met; other programs took up to {busy:.0%} of the cores."]
    text += [f"  missed: {row['case']}: {row['ratio']:.2f}, wanted {row['goal']:g}" for row in missed]
    text.append(f"Written to {path}")
    return "\n".join(text)


class Bar:
    """How far the run is, in one line of a terminal; nothing where stderr is none."""

    def __init__(self, total):
        self.total, self.done, self.on = total, 0, sys.stderr.isatty()

    def show(self, name, share):
        if self.on:
            part = (self.done + share) / self.total
            full = round(part * 24)
            bar = "━" * full + "─" * (24 - full)
            print(f"\r\x1b[K{bar} {part:4.0%}  {name}", end="", file=sys.stderr, flush=True)

    def over(self):
        self.done += 1
        if self.on:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
