"""Counts the tasks and steps of a program by itself: each coroutine that becomes a task is wrapped in one that counts.

At the end of the process, the counts are written to the file that LOOPSCOPE_TEST_COUNTS names, as JSON. A step is one call
of `send` or `throw`.
"""

import asyncio
import atexit
import collections.abc
import json
import os

counts = {"tasks": 0, "steps": 0}


class Counting(collections.abc.Coroutine):
    """A coroutine that counts its steps, and otherwise does what another one does."""

    def __init__(self, inner):
        self.inner = inner
        self.__qualname__ = getattr(inner, "__qualname__", type(inner).__name__)
        self.__name__ = getattr(inner, "__name__", self.__qualname__)

    cr_code = property(lambda self: self.inner.cr_code)
    cr_frame = property(lambda self: self.inner.cr_frame)
    cr_await = property(lambda self: self.inner.cr_await)

    def send(self, value):
        counts["steps"] += 1
        return self.inner.send(value)

    def throw(self, *error):
        counts["steps"] += 1
        return self.inner.throw(*error)

    def close(self):
        return self.inner.close()

    def __await__(self):
        return self.inner.__await__()


def factory(loop, coroutine, **options):
    counts["tasks"] += 1
    return asyncio.Task(Counting(coroutine), loop=loop, **options)


def write():
    path = os.environ.get("LOOPSCOPE_TEST_COUNTS")
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(counts, file)


atexit.register(write)


def run(main):
    """Runs a coroutine in a new loop with a counting factory, as `asyncio.run` does."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(factory)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        if pending:
            loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        asyncio.set_event_loop(None)
        loop.close()
