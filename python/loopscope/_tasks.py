"""Tasks and loops of the program, and what is recorded of them."""

import asyncio
import re
import sys
import weakref
from types import CoroutineType

from . import _chains, _records
from ._clock import monotonic_ns

#: Longest description of an exception, in characters.
ERROR_CHARS_MAX = 4096

#: Names that asyncio gives to tasks without one; a task factory on Python 3.13 makes it the text `None`.
_DEFAULT_NAME = re.compile(r"Task-\d+|None")


class TaskState:
    """What is known of one task, or of the callbacks of one loop."""

    __slots__ = (
        "number",
        "name",
        "ref",
        "loop",
        "coroutine",
        "awaited",
        "await_number",
        "inner",
        "frame",
        "position",
        "operation_code",
        "is_yield",
        "site",
        "has_resource",
        "prefix",
    )

    def __init__(self, number, name, task, coroutine, loop_state):
        self.number = number
        self.name = name
        self.ref = weakref.ref(task) if task is not None else (lambda: None)
        self.loop = loop_state
        self.coroutine = coroutine
        #: What the innermost frame of the program awaited when the task was suspended last, and the number of that await.
        self.awaited = None
        self.await_number = 0
        #: The innermost coroutine of the program, its frame, its position, and the code of the operation that it awaited;
        #: whether that was a yield; and the site that belongs to all of them.
        self.inner = self.frame = self.operation_code = None
        self.position = self.site = self.prefix = 0
        self.is_yield = self.has_resource = False

    def forget(self):
        """Lets go of the coroutine, whose task has ended."""
        self.coroutine = self.awaited = self.inner = self.frame = self.operation_code = None


class LoopState:
    """What is known of one loop. Its records are in the order in which they happen on its thread."""

    __slots__ = (
        "session",
        "loop",
        "buffer",
        "write",
        "extend",
        "current",
        "started_ns",
        "woken_ns",
        "sampled_ns",
        "cause",
        "is_stopped",
        "thread",
        "callbacks",
        "creating",
    )

    def __init__(self, session, loop, buffer):
        self.session = session
        self.loop = weakref.ref(loop)
        self.buffer = buffer
        self.write = buffer.write
        self.extend = buffer.extend
        #: The task or callback that runs now.
        self.current = None
        #: Start of its poll, negative once that was recorded; and when it has woken itself, which was not recorded yet, or 0.
        self.started_ns = self.woken_ns = 0
        #: When a stack was sampled last.
        self.sampled_ns = 0
        #: What a wake is due to while neither runs: cause and task.
        self.cause = (_records.BY_DRIVER, 0)
        #: Its thread waits at the gate.
        self.is_stopped = False
        self.thread = 0
        self.callbacks = None
        #: A task is being created that may run at once: what is recorded may belong to it.
        self.creating = None

    def is_polling(self):
        """Whether a task or callback runs, rather than waits at the gate."""
        return self.current is not None and not self.is_stopped

    def flush(self):
        """Records the start of the poll under way, and its wake by itself. Every other record of the poll comes after."""
        if self.creating is not None:
            self.creating.resolve()
        started = self.started_ns
        if started > 0 and self.current is not None:
            self.started_ns = -started
            number = self.current.number
            self.write(_records.POLL_START, started, number)
            if self.woken_ns:
                self.write(_records.WAKE, self.woken_ns, number)
                self.woken_ns = 0


class Creation:
    """The creation of a task that may run its first step at once, inside the step that creates it."""

    __slots__ = ("tasks", "loop_state", "coroutine", "parent", "parent_started_ns", "started_ns", "outer", "state")

    def __init__(self, tasks, loop_state, coroutine):
        loop_state.flush()
        self.coroutine = coroutine
        self.tasks = tasks
        self.loop_state = loop_state
        self.parent = loop_state.current
        self.parent_started_ns = loop_state.started_ns
        self.started_ns = monotonic_ns()
        self.outer = loop_state.creating
        #: The new task, once it is known to run.
        self.state = None
        loop_state.creating = self
        # Not equal to any task, so that nothing counts as a wake by itself.
        loop_state.current = _UNRESOLVED if self.parent is not None else None

    def resolve(self):
        """Finds out whether the new task runs already."""
        running = asyncio.current_task(self.loop_state.loop())
        parent = self.parent.ref() if self.parent is not None else None
        if running is None or running is parent:
            self._leave()
        else:
            self._enter(running)

    def _enter(self, task):
        loop_state = self.loop_state
        loop_state.creating = self.outer
        loop_state.current = self.parent
        self.state = state = self.tasks.spawn(loop_state, task, self.coroutine, self.started_ns)
        loop_state.current = state
        loop_state.woken_ns = 0
        loop_state.started_ns = self.started_ns

    def _leave(self):
        loop_state = self.loop_state
        loop_state.creating = self.outer
        loop_state.current = self.parent
        loop_state.started_ns = self.parent_started_ns

    def finish(self, task, end_poll):
        """Ends the first step, if there was one."""
        loop_state = self.loop_state
        if loop_state.creating is self:
            if task is None or hasattr(task, "_loopscope"):
                self._leave()
                return
            self._enter(task)
        if self.state is not None:
            if task is not None:
                end_poll(loop_state, self.state, task, monotonic_ns())
            self._leave()


class Tasks:
    """The live tasks of the program by their numbers."""

    def __init__(self, session):
        self.session = session
        self.count = 0
        self.live = {}
        self.names = {}
        #: Sites by what identifies a chain of frames; numbers of the outer parts of chains.
        self.await_sites = {}
        self.prefixes = {}

    def get(self, number):
        return self.live.get(number)

    def _name_of(self, task, coroutine):
        """Returns the name that the program gave a task, or else its function, numbered from the second one on."""
        name = getattr(task, "get_name", lambda: "None")()
        if not _DEFAULT_NAME.fullmatch(name):
            return name
        function = _chains.short(getattr(coroutine, "__qualname__", type(coroutine).__name__))
        self.names[function] = number = self.names.get(function, 0) + 1
        return function if number == 1 else "{}-{}".format(function, number)

    def spawn(self, loop_state, task, coroutine=None, at=None):
        """Records the creation of a task, by what runs now. `coroutine` is what it runs, if it may have ended."""
        loop_state.flush()
        self.count += 1
        coroutine = coroutine or task.get_coro()
        state = TaskState(self.count, self._name_of(task, coroutine), task, coroutine, loop_state)
        task._loopscope = state
        self.live[state.number] = state
        self._announce(state, "task", coroutine, _chains.caller(sys._getframe(1)), loop_state.write, at)
        return state

    def _announce(self, state, kind, coroutine, location, write, at=None):
        definitions = self.session.definitions
        definitions.add("task_name", {"task": state.number, "name": state.name})
        function = _chains.short(getattr(coroutine, "__qualname__", "")) if coroutine is not None else ""
        site = definitions.site(kind, function, *location)
        write(_records.SPAWN, at or monotonic_ns(), state.number, site)

    def callbacks_of(self, loop_state):
        """Returns the state that stands for the plain callbacks of a loop."""
        state = loop_state.callbacks
        if state is None:
            self.count += 1
            state = loop_state.callbacks = TaskState(self.count, "callbacks", None, None, loop_state)
            self._announce(state, "callback", None, ("", 0), loop_state.write)
        return state

    def locate(self, state, task, waiter):
        """Finds out where a task was suspended: its chain of frames, and what it awaits."""
        inner = state.inner
        if inner is not None:
            # The frames outside of an awaiting coroutine cannot have moved while it has not ended.
            awaited = inner.cr_await
            if awaited.__class__ is CoroutineType:
                code = awaited.cr_code
                position = state.frame.f_lasti
                key = (state.prefix, position, id(code), waiter is None)
                found = self.await_sites.get(key)
                if found is not None:
                    state.site, state.has_resource = found
                    state.position = position
                    state.operation_code = None if state.has_resource else code
                    state.is_yield = waiter is None
                    return awaited, awaited
        key, frames, awaited, operation = _chains.walk(state.coroutine)
        inner = frames[-1] if frames else None
        is_plain = operation is not None and operation is awaited and awaited.__class__ is CoroutineType
        if is_plain and inner.__class__ is CoroutineType and _chains.is_leaf(operation.cr_code):
            outer = tuple(key[:-2])
            state.prefix = prefix = self.prefixes.setdefault(outer, len(self.prefixes) + 1)
            state.inner = inner
            state.frame = inner.cr_frame
            state.position = key[-2]
            state.operation_code = operation.cr_code
            state.is_yield = waiter is None
            key = (prefix, key[-2], key[-1], waiter is None)
        else:
            state.inner = None
            # Nothing is awaited again by a position alone.
            state.operation_code = None
            key = tuple(key) + (-1, waiter_kind(waiter))
        found = self.await_sites.get(key)
        if found is None:
            found = self.await_sites[key] = self._new_site(frames, operation, waiter)
        state.site, state.has_resource = found
        if state.has_resource:
            # It may be another resource the next time.
            state.operation_code = None
        return awaited, operation

    def resource_of(self, operation):
        """Returns the number of the lock, queue and so on that an operation waits for; 0 if there is none."""
        target = _chains.resource_of(operation)
        return self.session.resources.number(target) if target is not None else 0

    def _new_site(self, frames, operation, waiter):
        chain = _chains.describe(frames)
        has_resource = False
        if operation is not None:
            kind, name, has_resource = _chains.operation_of(operation)
        else:
            kind, name = _KINDS[waiter_kind(waiter)]
        if waiter is None and kind != "other":
            kind, name = "yield", name + "(0)" if name == "sleep" else name
        file, line = chain[-1][1:] if chain else ("", 0)
        return self.session.definitions.site(kind, name, file, line, chain), has_resource

    def end(self, loop_state, state, task, now):
        """Records the end of a task, after its last poll."""
        state.forget()
        self.live.pop(state.number, None)
        outcome = _records.COMPLETED
        if task.cancelled():
            outcome = _records.CANCELLED
        elif task._exception is not None:
            outcome = _records.FAILED
            text = error_text(task._exception)
            self.session.definitions.add("task_error", {"task": state.number, "text": text})
        number = state.number
        loop_state.write(_records.TASK_ENDED, now, number, outcome)
        loop_state.write(_records.POLL_END, now, number, _records.TASK_CLOSED, now, number)


#: Stands for a task that is not known yet.
_UNRESOLVED = TaskState(0, "", None, None, None)

_NOTHING, _TASK, _GATHER, _SHIELD, _EXECUTOR, _FUTURE = range(6)

_KINDS = {
    _NOTHING: ("yield", "yield"),
    _TASK: ("task", "Task"),
    _GATHER: ("task", "gather"),
    _SHIELD: ("task", "shield"),
    _EXECUTOR: ("task", "run_in_executor"),
    _FUTURE: ("other", "Future"),
}


def waiter_kind(waiter):
    """Returns what kind of future a task waits for."""
    if waiter is None:
        return _NOTHING
    if hasattr(waiter, "get_coro"):
        return _TASK
    if type(waiter).__name__ == "_GatheringFuture":
        return _GATHER
    for found in waiter._callbacks or ():
        name = getattr(found[0] if isinstance(found, tuple) else found, "__qualname__", "")
        if name == "_chain_future.<locals>._call_check_cancel":
            return _EXECUTOR
        if name == "shield.<locals>._outer_done_callback":
            return _SHIELD
    return _FUTURE


def error_text(error):
    """Returns an exception with its traceback, shortened at its beginning."""
    import traceback

    try:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip()
    except Exception:
        text = type(error).__name__
    return text if len(text) <= ERROR_CHARS_MAX else "…" + text[-ERROR_CHARS_MAX:]
