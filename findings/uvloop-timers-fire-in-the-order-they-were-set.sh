#!/usr/bin/env bash
# uvloop 0.23.0 on CPython 3.11 (asyncio of the same CPython beside it): timers within a millisecond fire in the order in
# which they were set, not in that of their deadlines, and the loop's time has whole milliseconds.
#
# Likely guess: `call_later` means the same on each loop, so that of two timers the one with the earlier deadline fires
# first; `loop.time()` is a clock of full precision, and no timer fires before `loop.time()` has reached its deadline.
# Seen: timers of 2.4, 1.6, 2.2 and 1.51 ms, set in this order, fire in this order on uvloop, and by their deadlines on
# asyncio. Both the deadlines and `loop.time()` are rounded to milliseconds there: a timer of 2.4 ms fires when two have
# passed.
# Fails if the behaviour changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvloop==0.23.0
cat > "$folder/timers.py" <<'PYTHON'
import asyncio
from collections import Counter

import uvloop

DELAYS_US = [2400, 1600, 2200, 1510]


async def order():
    loop = asyncio.get_running_loop()
    done, fired, times = loop.create_future(), [], []

    def fire(delay_us):
        fired.append(delay_us)
        times.append(loop.time())
        if len(fired) == len(DELAYS_US):
            done.set_result(None)

    for delay_us in DELAYS_US:
        loop.call_later(delay_us / 1e6, fire, delay_us)
    await done
    are_whole = all(abs(time * 1e3 - round(time * 1e3)) < 1e-3 for time in times)
    return fired, "whole milliseconds" if are_whole else "fractions"


async def rounds():
    return [await order() for _ in range(20)]


for name, run in [("asyncio", asyncio.run), ("uvloop", uvloop.run)]:
    # On a busy machine a delay between two calls may change the order of deadlines.
    found = Counter((tuple(fired), times) for fired, times in run(rounds()))
    print(name, *found.most_common(1)[0][0])
PYTHON
seen=$("$folder/venv/bin/python" "$folder/timers.py")
echo "$seen"
[ "$seen" = "asyncio (1510, 1600, 2200, 2400) fractions
uvloop (2400, 1600, 2200, 1510) whole milliseconds" ]
