"""One thread writes records as fast as it can and drops what does not fit, while another one takes them. Each record must
arrive whole and in its place, or be counted as dropped."""

import sys
import threading

from loopscope import _buffers
from loopscope._buffers import Buffer
from loopscope._records import DROPPED, POLLED, WORD_BYTES, boundaries

RECORDS = 200_000
PART_BYTES = 4096

_buffers.BYTES_MAX = 1 << 16
sys.setswitchinterval(1e-5)
buffer = Buffer(7)
is_done = threading.Event()


def write():
    for number in range(RECORDS):
        buffer.write(POLLED, number, 1, 2, 3, 4)
        buffer.check()
    is_done.set()


def words(record):
    return [int.from_bytes(record[at : at + WORD_BYTES], "little") for at in range(0, len(record), WORD_BYTES)]


writer = threading.Thread(target=write)
writer.start()
following = dropped = ranges = 0
while True:
    was_done = is_done.is_set()
    for part in buffer.take(PART_BYTES):
        assert len(part) <= PART_BYTES, len(part)
        begin = 0
        for end in boundaries(part):
            head, at, *rest = words(part[begin:end])
            begin = end
            if head == DROPPED:
                # The first that was dropped, and how many.
                assert at == following, (at, following)
                following += rest[0]
                dropped += rest[0]
                ranges += 1
            else:
                assert (head, at, rest) == (POLLED, following, [1, 2, 3, 4]), (head, at, rest, following)
                following += 1
        assert begin == len(part), "a part ends inside a record"
    if was_done:
        break
writer.join()
assert following == RECORDS, (following, dropped)
assert not buffer.records and not buffer.dropped
print("all", "some dropped" if ranges else "none dropped")
