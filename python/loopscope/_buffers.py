"""Records and definitions on their way to loopscope. Threads of the program append, and one thread of ours takes them.

Appending to a `bytearray` and taking a slice of it are atomic, so there is no lock, but for what takes records away.
"""

import json
from _thread import allocate_lock
from struct import Struct

from . import _clock
from ._records import DROPPED, WORD_BYTES, boundaries

#: Bytes that a buffer holds at most, and what may be added between two checks.
BYTES_MAX = 1 << 22

#: Thread id of the records about the whole program.
CONTROL = 1

#: Packs so many words.
PACKERS = tuple(Struct("<{}Q".format(words)).pack for words in range(16))


class Buffer:
    """The records of one loop, or of one other thread, in their order."""

    __slots__ = ("id", "records", "extend", "taking", "dropped", "first_dropped", "last_dropped")

    def __init__(self, number):
        self.id = number
        self.records = bytearray()
        #: Adds packed records.
        self.extend = self.records.extend
        #: Held by whoever takes records away.
        self.taking = allocate_lock()
        self.dropped = self.first_dropped = self.last_dropped = 0

    def write(self, *words):
        """Adds one or more records."""
        self.extend(PACKERS[len(words)](*words))

    def check(self):
        """Drops what waits if it is too much. Called by the thread that writes, which never waits for this."""
        if len(self.records) <= BYTES_MAX or not self.taking.acquire(False):
            return
        try:
            lost = self._take()
            if not self.dropped:
                self.first_dropped = int.from_bytes(lost[WORD_BYTES : 2 * WORD_BYTES], "little")
            self.dropped += sum(1 for _ in boundaries(lost))
            self.last_dropped = _clock.monotonic_ns()
        finally:
            self.taking.release()

    def take(self, bytes_max):
        """Takes all records, as parts of whole records, of at most this many bytes each."""
        parts = []
        with self.taking:
            taken = self._take()
            if self.dropped:
                # What was dropped came before what waits.
                parts.append(PACKERS[4](DROPPED, self.first_dropped, self.dropped, self.last_dropped))
                self.dropped = 0
        begin = end = 0
        if len(taken) > bytes_max:
            for following in boundaries(taken):
                if following - begin > bytes_max:
                    parts.append(taken[begin:end])
                    begin = end
                end = following
        parts.append(taken[begin:])
        return parts

    def _take(self):
        # Others may append at any time.
        taken = bytes(self.records)
        del self.records[: len(taken)]
        return taken


class Definitions:
    """Texts behind the ids that records use. Each is defined once for a connection, before the first use."""

    def __init__(self):
        self.frames = []
        self.sites = {}
        self.attributes = {}

    def add(self, kind, value):
        """Adds a definition."""
        self.frames.append(json.dumps({kind: value}).encode())

    def site(self, kind, name, file, line, frames=()):
        """Returns the id of a site. `frames` are tuples of function, file and line, outermost first."""
        key = (kind, name, file, line, frames)
        number = self.sites.get(key)
        if number is None:
            number = len(self.sites) + 1
            # The definition precedes the id: another thread may take it at once.
            self.add(
                "site",
                {
                    "id": number,
                    "kind": kind,
                    "name": name,
                    "file": file,
                    "line": line,
                    "column": 0,
                    "size_bytes": 0,
                    "original_size_bytes": 0,
                    "is_internal": False,
                    "frames": [{"function": f, "file": p, "line": n} for f, p, n in frames],
                },
            )
            self.sites[key] = number
        return number

    def attribute(self, name):
        """Returns the id of the name of an attribute."""
        number = self.attributes.get(name)
        if number is None:
            number = len(self.attributes) + 1
            self.add("attribute_name", {"id": number, "name": name})
            self.attributes[name] = number
        return number

    def take(self):
        """Takes the definitions that were not sent yet."""
        taken = self.frames[:]
        del self.frames[: len(taken)]
        return taken
