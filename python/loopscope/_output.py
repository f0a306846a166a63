"""What the program prints: each line with its time and its task."""

import sys

from ._clock import BASE_NS, monotonic_ns

#: Longest line that is sent, in characters.
LINE_CHARS_MAX = 1 << 14


class Output:
    """Observes the text streams `sys.stdout` and `sys.stderr`, which work as before."""

    def __init__(self, session):
        self.session = session
        self.hooked = []

    def install(self):
        """Begins to observe."""
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name, None)
            try:
                self._hook(stream, name == "stderr")
            except (AttributeError, TypeError):
                # A stream that the program has replaced by one that cannot be observed.
                pass

    def _hook(self, stream, is_error):
        original = stream.write
        printed = self.session.guarded(self.session.printed)
        pending = []

        def write(text):
            written = original(text)
            if "\n" in text:
                lines = ("".join(pending) + text).split("\n")
                pending[:] = [lines.pop()]
                ticks = monotonic_ns() - BASE_NS
                for line in lines:
                    printed(ticks, line[:LINE_CHARS_MAX], is_error)
            elif len(pending) < LINE_CHARS_MAX:
                pending.append(text)
            return written

        stream.write = write
        self.hooked.append((stream, write))

    def uninstall(self):
        """Ends that."""
        for stream, write in self.hooked:
            if stream.__dict__.get("write") is write:
                del stream.write
        self.hooked.clear()
