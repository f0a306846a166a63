"""Breakpoints, in the syntax of loopscope."""

import re

BREAKPOINTS_MAX = 32
BREAKPOINT_CHARS_MAX = 256

_UNITS_NS = {
    "ns": 1,
    "us": 1e3,
    "µs": 1e3,
    "ms": 1e6,
    "": 1e9,
    "s": 1e9,
    "sec": 1e9,
    "m": 60e9,
    "min": 60e9,
    "h": 3600e9,
}


def parse_ns(text):
    """Returns a duration such as `10ms` or `1s 500ms` in nanoseconds. Raises ValueError."""
    total = 0.0
    rest = text.strip()
    if not rest:
        raise ValueError("expected a duration such as `10ms`")
    while rest:
        found = re.match(r"([0-9.]+)\s*([^\W\d]*)\s*", rest)
        if found is None or found.group(2) not in _UNITS_NS:
            raise ValueError("expected a duration such as `10ms`")
        total += float(found.group(1)) * _UNITS_NS[found.group(2)]
        rest = rest[found.end() :]
    return total


class Breakpoint:
    """A condition that pauses the program."""

    def __init__(self, text):
        self.text = text.strip()
        before, _, limit = text.partition(">")
        words = before.split()
        verb = words[0] if words else ""
        name = words[1] if len(words) > 1 else None
        if len(words) > 2:
            raise ValueError("a name is one word")
        if verb not in ("poll", "wake", "end"):
            raise ValueError("unknown keyword")
        self.limit_ns = None
        self.event = verb
        if ">" in text:
            if verb != "poll":
                raise ValueError("only `poll` takes a duration")
            self.limit_ns = parse_ns(limit)
            self.event = "poll >"
        elif name is None:
            raise ValueError("expected a task name, or `*` for any task")
        name = name or "*"
        self.is_prefix = name.endswith("*")
        self.name = name[:-1] if self.is_prefix else name

    def is_met(self, event, name, number, duration_ns):
        """Whether what happens to a task meets the condition."""
        if event != self.event or (self.limit_ns is not None and duration_ns <= self.limit_ns):
            return False
        texts = (name, str(number))
        return any(text.startswith(self.name) if self.is_prefix else text == self.name for text in texts)

    @classmethod
    def parse_all(cls, texts):
        """Parses breakpoints. Those on waits and findings are checked by loopscope itself. Raises ValueError."""
        if len(texts) > BREAKPOINTS_MAX:
            raise ValueError("{} breakpoints are more than {}".format(len(texts), BREAKPOINTS_MAX))
        found = []
        for text in texts:
            if len(text) > BREAKPOINT_CHARS_MAX:
                raise ValueError("a breakpoint is too long")
            if text.split()[:1] not in (["wait"], ["finding"]):
                try:
                    found.append(cls(text))
                except ValueError as error:
                    raise ValueError("`{}` is not a breakpoint: {}".format(text, error)) from None
        return found
