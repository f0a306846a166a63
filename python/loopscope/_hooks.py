"""What is replaced in asyncio while recording: the run of a handle, the creation of a handle, and the wait of a loop.

Every step of a task and every callback of a loop is a handle. asyncio's own functions do the work; ours look at it.
"""

import inspect
import sys
from _thread import get_ident
from asyncio import base_events, events, format_helpers
from asyncio.events import Handle
from types import BuiltinMethodType, MethodType

from . import _chains, _records
from ._buffers import PACKERS
from ._clock import monotonic_ns as now
from ._tasks import Creation

#: Names of the methods of a task that a handle runs: a step, and a step after a wake by a future.
_STEP_NAMES = ("task_wakeup", "TaskWakeupMethWrapper", "__wakeup", "__step")

#: Packages whose callbacks are parts of the loop.
_LOOP_PACKAGES = ("asyncio", "_asyncio", "uvloop", "concurrent")


def _task_of(callback):
    """Returns the task of which a handle runs a step; None for other callbacks."""
    cls = callback.__class__
    if cls.__name__ == "TaskStepMethWrapper" or cls.__name__ == "TaskWakeupMethWrapper":
        return callback.__self__
    if (cls is BuiltinMethodType or cls is MethodType) and callback.__name__ in _STEP_NAMES:
        task = callback.__self__
        return task if hasattr(task, "get_coro") else None
    return None


class _OwnHandle(events.Handle):
    """A plain callback, with what created it."""

    __slots__ = ("loopscope_cause",)


class Hooks:
    """Replaces functions of asyncio, and puts them back."""

    def __init__(self, session):
        self.session = session
        self.originals = []

    def install(self):
        """Begins to record."""
        session = self.session
        tasks, gate = session.tasks, session.gate
        guarded = session.guarded
        original_run = events.Handle._run
        loop_state_of = session.loop_state

        # Everything that a step needs is a local name: this runs at every step.
        step_type = None
        POLLED, pack = _records.POLLED, PACKERS[6]

        def task_of(callback):
            nonlocal step_type
            task = _task_of(callback)
            if step_type is None and callback.__class__.__name__ == "TaskStepMethWrapper":
                step_type = callback.__class__
            return task

        def run(handle):
            callback = handle._callback
            if type(callback) is step_type:
                task = callback.__self__
            else:
                task = task_of(callback)
                if task is None:
                    run_callback(handle, callback)
                    return
            try:
                state = task._loopscope
            except AttributeError:
                state = spawn(handle._loop, task)
                if state is None:
                    original_run(handle)
                    return
            loop_state = state.loop
            if gate.is_active and not gate.before_poll(loop_state, state, handle):
                return
            args = handle._args
            loop_state.woken_ns = 0
            loop_state.current = state
            loop_state.started_ns = started = now()
            try:
                if args:
                    note_result(loop_state, state, args[0])
                    handle._context.run(callback, *args)
                else:
                    handle._context.run(callback)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                _report(handle, error)
            finally:
                ended = now()
                try:
                    inner = state.inner
                    awaited = inner.cr_await
                    waiter = task._fut_waiter
                    if (
                        awaited.cr_code is state.operation_code
                        and state.frame.f_lasti == state.position
                        and (waiter is None) is state.is_yield
                        and awaited is not state.awaited
                        and loop_state.started_ns > 0
                    ):
                        # It is at the same place as before, and nothing else was recorded meanwhile.
                        state.awaited = awaited
                        state.await_number = ended
                        loop_state.extend(pack(POLLED, started, state.number, loop_state.woken_ns, ended, state.site))
                    else:
                        end_poll(loop_state, state, task, ended)
                except AttributeError:
                    end_poll(loop_state, state, task, ended)
                loop_state.current = None
                if gate.is_active:
                    gate.after_poll(state, ended - started)
        @guarded
        def spawn(loop, task):
            return tasks.spawn(loop_state_of(loop), task)

        @guarded
        def schedule_new(loop, task):
            loop_state = loop_state_of(loop)
            loop_state.flush()
            state = getattr(task, "_loopscope", None)
            if state is None:
                tasks.spawn(loop_state, task)
            else:
                # It has run its first step at once, and goes on.
                wake(loop_state, state)

        @guarded
        def note_result(loop_state, state, woken_by):
            # The future that woke it, or the exception that is thrown into it.
            if isinstance(woken_by, BaseException) or woken_by.cancelled():
                outcome = _records.CANCELLED
            elif woken_by._exception is not None:
                outcome = _records.FAILED
            else:
                return
            loop_state.flush()
            loop_state.write(_records.AWAIT_ENDED, now(), state.number, outcome)

        @guarded
        def end_poll(loop_state, state, task, ended):
            loop_state.flush()
            if task.done():
                tasks.end(loop_state, state, task, ended)
                if gate.is_active:
                    gate.on_end(state)
                return
            awaited, operation = tasks.locate(state, task, task._fut_waiter)
            if awaited is not state.awaited or awaited is None:
                state.awaited = awaited
                state.await_number = ended
            resource = tasks.resource_of(operation) if state.has_resource else 0
            number = state.number
            loop_state.write(
                _records.SUSPENDED,
                ended,
                number,
                state.site,
                resource,
                state.await_number,
                _records.POLL_END,
                ended,
                number,
            )

        def run_callback(handle, callback):
            loop_state = loop_state_of(handle._loop)
            cause = getattr(handle, "loopscope_cause", None)
            if cause is None:
                is_from_thread = handle.__class__.__name__ == "_ThreadSafeHandle"
                cause = (_records.BY_THREAD if is_from_thread else _records.BY_DRIVER, 0)
            if _is_part_of_loop(callback):
                before, loop_state.cause = loop_state.cause, cause
                try:
                    original_run(handle)
                finally:
                    loop_state.cause = before
                return
            state = tasks.callbacks_of(loop_state)
            started = now()
            number = state.number
            write = loop_state.write
            write(_records.WOKEN_BY, started, number, cause[0], cause[1], _records.POLL_START, started, number)
            write(_records.SAMPLED, started, number, callback_site(callback) or 0, started)
            loop_state.sampled_ns = started
            loop_state.started_ns = -started
            loop_state.current = state
            try:
                original_run(handle)
            finally:
                loop_state.current = None
                write(_records.POLL_END, now(), number)

        @guarded
        def callback_site(callback):
            function = getattr(callback, "func", callback)
            code = getattr(function, "__code__", None)
            name = _chains.short(getattr(function, "__qualname__", type(function).__name__))
            file, line = (code.co_filename, code.co_firstlineno) if code is not None else ("", 0)
            return session.definitions.site("other", name, file, line, ((name, file, line),))

        def call_soon(loop, callback, args, context):
            if type(callback) is step_type:
                task = callback.__self__
            else:
                task = task_of(callback)
                if task is None:
                    return call_plain(loop, callback, args, context)
            handle = Handle(callback, args, loop, context)
            if handle._source_traceback:
                del handle._source_traceback[-1]
            try:
                state = task._loopscope
            except AttributeError:
                schedule_new(loop, task)
            else:
                loop_state = state.loop
                if loop_state.current is state and loop_state.started_ns > 0:
                    loop_state.woken_ns = now()
                else:
                    wake(loop_state, state)
                if gate.is_active:
                    gate.on_wake(state)
            loop._ready.append(handle)
            return handle

        def call_plain(loop, callback, args, context):
            loop_state = loop_state_of(loop)
            handle = _OwnHandle(callback, args, loop, context)
            if handle._source_traceback:
                del handle._source_traceback[-2:]
            current = loop_state.current
            if loop_state.thread and get_ident() != loop_state.thread:
                handle.loopscope_cause = (_records.BY_THREAD, 0)
            elif current is not None:
                handle.loopscope_cause = (_records.BY_TASK, current.number)
            else:
                handle.loopscope_cause = loop_state.cause
            loop._ready.append(handle)
            return handle

        original_create_task = base_events.BaseEventLoop.create_task

        def create_task(loop, *arguments, **options):
            if loop._task_factory is None and not options.get("eager_start"):
                return original_create_task(loop, *arguments, **options)
            creation = begin_creation(loop, arguments[0] if arguments else options.get("coro"))
            task = None
            try:
                task = original_create_task(loop, *arguments, **options)
                return task
            finally:
                if creation is not None:
                    finish_creation(creation, task)

        @guarded
        def begin_creation(loop, coroutine):
            return Creation(tasks, loop_state_of(loop), coroutine)

        @guarded
        def finish_creation(creation, task):
            creation.finish(task, end_poll)

        def wake(loop_state, state):
            if loop_state.current is not None:
                loop_state.flush()
                loop_state.write(_records.WAKE, now(), state.number)
            else:
                cause, waker = loop_state.cause
                loop_state.write(_records.WOKEN_BY, now(), state.number, cause, waker)

        def loop_time(loop):
            return gate.loop_ns() / 1e9

        self._replace(events.Handle, "_run", run)
        self._replace(base_events.BaseEventLoop, "_call_soon", call_soon)
        self._replace(base_events.BaseEventLoop, "time", loop_time)
        if sys.version_info >= (3, 12):
            self._replace(base_events.BaseEventLoop, "create_task", create_task)
        self._replace(base_events.BaseEventLoop, "call_exception_handler", self._exception_handler())
        self._watch_coroutines()
        #: Code under which the stack of a running task begins.
        self.outermost_code = run.__code__

    def _replace(self, owner, name, function):
        original = getattr(owner, name)
        function.__name__ = original.__name__
        function.__qualname__ = original.__qualname__
        self.originals.append((owner, name, original))
        setattr(owner, name, function)

    def _exception_handler(self):
        session = self.session
        original = base_events.BaseEventLoop.call_exception_handler

        def call_exception_handler(loop, context):
            message = context.get("message") or ""
            if message.endswith("exception was never retrieved"):
                session.notice("never_retrieved", context.get("task") or context.get("future"), context)
            return original(loop, context)

        return call_exception_handler

    def _watch_coroutines(self):
        """Observes the warnings that are shown of coroutines that were never awaited. Where a warning stands is decided
        before, so a frame of ours does not change it."""
        import warnings

        never_awaited = self.session.guarded(self.session.never_awaited)
        original = getattr(warnings, "_showwarnmsg_impl", None)
        if original is None:
            return

        def show(message):
            if inspect.iscoroutine(message.source):
                never_awaited(message.source, message.filename, message.lineno)
            return original(message)

        self._replace(warnings, "_showwarnmsg_impl", show)

    def uninstall(self):
        """Puts the original functions back, unless the program has replaced ours since."""
        for owner, name, original in reversed(self.originals):
            # Timers that were set before a pause are due by the time that stood still.
            if name != "time" or not self.session.gate.paused_ns:
                setattr(owner, name, original)
        self.originals.clear()


def _report(handle, error):
    """Reports an exception of a step to the loop, as asyncio does."""
    callback, loop = handle._callback, handle._loop
    try:
        source = format_helpers._format_callback_source(callback, handle._args)
    except Exception:
        source = repr(callback)
    context = {"message": "Exception in callback " + source, "exception": error, "handle": handle}
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    loop.call_exception_handler(context)


def _is_part_of_loop(callback):
    """Whether a callback is code of the loop itself, or only a call of a future or task of asyncio."""
    function = getattr(callback, "func", callback)
    module = getattr(function, "__module__", None)
    if module is None:
        module = type(getattr(function, "__self__", None)).__module__
    return str(module).partition(".")[0] in _LOOP_PACKAGES
