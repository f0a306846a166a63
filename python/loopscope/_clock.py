"""Time, from functions that are taken before the program can replace them."""

import time

monotonic_ns = time.monotonic_ns
time_ns = time.time_ns
sleep = time.sleep

#: Time of the base of the stream, in nanoseconds of the monotonic clock. A tick is a nanosecond after it.
BASE_NS = monotonic_ns()

#: The same moment, in nanoseconds since 1970.
BASE_UNIX_NS = time_ns()

TICKS_PER_SECOND = 1_000_000_000
