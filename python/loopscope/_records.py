"""Records in words, as docs/protocol.md describes them: a head, the time, a subject and arguments.

The head holds the kind in its lowest 8 bits and the number of arguments in the next 8. Times are nanoseconds of the
monotonic clock.
"""


def _head(kind, arguments=0):
    return kind | arguments << 8


POLL_START = _head(1)
POLL_END = _head(2)
WAKE = _head(7)
SPAWN = _head(11, 1)
TASK_ENDED = _head(12, 1)
TASK_CLOSED = _head(13)
PARK = _head(14)
UNPARK = _head(15)
RESOURCE_CREATED = _head(16, 2)
RESOURCE_DROPPED = _head(17)
RESOURCE_ATTRIBUTE = _head(18, 2)
DROPPED = _head(24, 1)
HELD = _head(27)
RELEASED = _head(28)
PAUSED = _head(29, 1)
CONTINUED = _head(30)
#: Cause, task.
WOKEN_BY = _head(40, 2)
#: Site, resource or 0, number of the await.
SUSPENDED = _head(41, 3)
#: CANCELLED or FAILED.
AWAIT_ENDED = _head(42, 1)
#: Site, start of the poll.
SAMPLED = _head(43, 2)
#: A whole poll that ends suspended on a new await: the time of its wake by itself or 0, its end, site.
POLLED = _head(44, 3)
#: Site, start of the call.
BLOCKED = _head(45, 2)

#: How a task or an await ended.
COMPLETED, CANCELLED, FAILED = 0, 1, 2

#: What woke a task.
BY_DRIVER, BY_THREAD, BY_TASK, BY_UNKNOWN = 0, 1, 2, 3

#: Why the program paused.
BY_USER, BY_STEP, BY_BREAKPOINT = 0, 1, 2


#: Bytes of a word.
WORD_BYTES = 8


def boundaries(records):
    """Yields the index behind each of the packed records."""
    index, count = 0, len(records)
    while index < count:
        # The number of arguments is in the second byte of the head.
        index += WORD_BYTES * (3 + records[index + 1])
        yield index
