"""Runs crowd-kit's aggregators on label tables; `cargo xtask crowd` calls it and scores what it writes.

    python crowd_peers.py SECONDS OUT METHOD[,METHOD...] TABLE.csv...

A table is `item,expert,label` with one label an (item, expert): duplicates were resolved before, and any that
is left is resolved in the same way, the last one wins. For each table and method `OUT/TABLE.METHOD.csv`
(`item,label`) is written. A method that fails or needs more than SECONDS of processor time on a table is
said on stderr and leaves no file.

Parameters are crowd-kit's defaults; of labels that tie it takes the first in the order of their text.
"""

import csv
import signal
import sys
import time
from pathlib import Path

import pandas
from crowdkit.aggregation import GLAD, MACE, DawidSkene, MajorityVote, OneCoinDawidSkene

METHODS = {
    "MV": MajorityVote,
    "DS": DawidSkene,
    "OneCoin": OneCoinDawidSkene,
    "GLAD": GLAD,
    "MACE": MACE,
}


class TooLong(Exception):
    """The method has used up its time."""


def give_up(_signal, _frame):
    raise TooLong


def read(path):
    table = pandas.read_csv(path, dtype=str, keep_default_na=False)
    table = table.rename(columns={"item": "task", "expert": "worker"})
    return table.drop_duplicates(["task", "worker"], keep="last")


def write(path, labels):
    with open(path, "w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(["item", "label"])
        rows.writerows(labels.items())


def main(seconds, out, methods, paths):
    signal.signal(signal.SIGPROF, give_up)
    for path in map(Path, paths):
        table = read(path)
        for method in methods.split(","):
            started = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, seconds)
            try:
                labels = METHODS[method]().fit_predict(table)
            except TooLong:
                print(f"{path.stem}: {method} needed more than {seconds} s", file=sys.stderr)
                continue
            except Exception as error:  # a peer that fails is said, and the others go on
                print(f"{path.stem}: {method} failed: {error!r}", file=sys.stderr)
                continue
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            write(Path(out) / f"{path.stem}.{method}.csv", labels)
            print(f"{path.stem}: {method} {time.process_time() - started:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
