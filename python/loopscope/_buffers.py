"""Records and definitions on their way to loopscope. Threads of the program append, and one thread of ours takes them.

Appending to a list and taking a slice of it are atomic, so there are no locks.
"""

import json
import sys
from array import array

from . import _clock
from ._records import DROPPED, split

#: Words that a buffer holds at most.
WORDS_MAX = 1 << 19

#: Thread id of the records about the whole program.
CONTROL = 1


class Buffer:
    """The records of one loop, or of one other thread, in their order."""

    __slots__ = ("id", "words", "write", "dropped", "first_dropped", "last_dropped")

    def __init__(self, number):
        self.id = number
        self.words = []
        #: Adds one or more records, as a tuple of words.
        self.write = self.words.extend
        self.dropped = self.first_dropped = self.last_dropped = 0

    def check(self):
        """Drops what does not fit. Only the thread that writes calls this."""
        end, _ = split(self.words, WORDS_MAX)
        extra = self.words[end:]
        del self.words[end:]
        if extra:
            if not self.dropped:
                self.first_dropped = extra[1]
            self.dropped += split(extra, len(extra))[1]
            self.last_dropped = _clock.monotonic_ns()

    def take(self, words_max):
        """Takes the oldest records, as bytes of at most this many words."""
        words = self.words
        taken = words[: len(words)]
        if len(taken) > words_max:
            taken = taken[: split(taken, words_max)[0]]
        del words[: len(taken)]
        if self.dropped and not words:
            dropped, self.dropped = self.dropped, 0
            taken.extend((DROPPED, self.first_dropped, dropped, self.last_dropped))
        packed = array("Q", taken)
        if sys.byteorder == "big":
            packed.byteswap()
        return packed.tobytes()


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
