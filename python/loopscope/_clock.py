"""Time: the system's, or a virtual clock that advances only where the program waits.

The functions of the system are taken before the program can replace them.
"""

import os
import time

real_monotonic_ns = time.monotonic_ns
time_ns = time.time_ns
sleep = time.sleep

#: Time of the base of the stream, in nanoseconds of the monotonic clock. A tick is a nanosecond after it.
BASE_NS = real_monotonic_ns()

#: The same moment, in nanoseconds since 1970.
BASE_UNIX_NS = time_ns()

TICKS_PER_SECOND = 1_000_000_000

#: The clock is virtual.
IS_VIRTUAL = os.environ.get("LOOPSCOPE_CLOCK") == "virtual"

_virtual_ns = BASE_NS


def _virtual_monotonic_ns():
    return _virtual_ns


#: Nanoseconds of the clock of the program.
monotonic_ns = _virtual_monotonic_ns if IS_VIRTUAL else real_monotonic_ns


def advance_to(at_ns):
    """Advances the virtual clock, but never back."""
    global _virtual_ns
    _virtual_ns = max(_virtual_ns, at_ns)


#: Called with the time of its start after a function has blocked, which has advanced the virtual clock.
after_block = None


def _virtual_sleep(seconds):
    """Advances the virtual clock, in place of a wait of the thread."""
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    started_ns = _virtual_ns
    advance_to(started_ns + round(seconds * TICKS_PER_SECOND))
    if after_block is not None:
        after_block(started_ns)


def _since_1970_ns():
    return BASE_UNIX_NS + _virtual_ns - BASE_NS


def replace_time():
    """Makes the functions of the module `time` follow the virtual clock. Called before the program imports them."""
    time.sleep = _virtual_sleep
    time.monotonic_ns = time.perf_counter_ns = _virtual_monotonic_ns
    time.monotonic = time.perf_counter = lambda: _virtual_ns / TICKS_PER_SECOND
    time.time_ns = _since_1970_ns
    time.time = lambda: _since_1970_ns() / TICKS_PER_SECOND
