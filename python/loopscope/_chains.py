"""What a suspended task waits for: the chain of its awaiting frames, and the operation of asyncio below the last of them."""

import asyncio
import gc
import os
import sys
import types

#: Frames of a chain at most.
FRAMES_MAX = 64

#: Folder of asyncio's own code.
ASYNCIO_FOLDER = os.path.dirname(os.path.abspath(asyncio.__file__)) + os.sep

_Coroutine = types.CoroutineType
_Generator = types.GeneratorType
_AsyncGenerator = types.AsyncGeneratorType

# Roles of code objects in a chain.
_USER, _INTERNAL, _LEAF = 0, 1, 2

#: Operations of asyncio: module, qualified name, kind of await, name, and whether the chain ends there.
_OPERATIONS = (
    ("tasks", "sleep", "timer", "sleep", True),
    ("tasks", "wait", "task", "wait", True),
    ("tasks", "wait_for", "task", "wait_for", False),
    ("tasks", "_wait", "task", "wait", True),
    ("tasks", "_AsCompletedIterator._wait_for_one", "task", "as_completed", True),
    ("tasks", "as_completed.<locals>._wait_for_one", "task", "as_completed", True),
    ("taskgroups", "TaskGroup.__aexit__", "task", "TaskGroup", True),
    ("taskgroups", "TaskGroup._aexit", "task", "TaskGroup", True),
    ("threads", "to_thread", "task", "to_thread", True),
    ("locks", "Lock.acquire", "sync", "Lock.acquire", True),
    ("locks", "Event.wait", "sync", "Event.wait", True),
    ("locks", "Condition.wait", "sync", "Condition.wait", True),
    ("locks", "Condition.wait_for", "sync", "Condition.wait_for", False),
    ("locks", "Semaphore.acquire", "sync", "Semaphore.acquire", True),
    ("locks", "Barrier.wait", "sync", "Barrier.wait", True),
    ("queues", "Queue.get", "channel", "Queue.get", True),
    ("queues", "Queue.put", "channel", "Queue.put", True),
    ("queues", "Queue.join", "sync", "Queue.join", True),
    ("streams", "StreamReader.read", "io", "StreamReader.read", True),
    ("streams", "StreamReader.readline", "io", "StreamReader.readline", True),
    ("streams", "StreamReader.readexactly", "io", "StreamReader.readexactly", True),
    ("streams", "StreamReader.readuntil", "io", "StreamReader.readuntil", True),
    ("streams", "StreamWriter.drain", "io", "StreamWriter.drain", True),
    ("streams", "StreamWriter.wait_closed", "io", "StreamWriter.wait_closed", True),
    ("streams", "open_connection", "io", "open_connection", True),
    ("streams", "open_unix_connection", "io", "open_unix_connection", True),
    ("subprocess", "Process.wait", "io", "Process.wait", True),
    ("subprocess", "Process.communicate", "io", "Process.communicate", True),
    ("subprocess", "create_subprocess_exec", "io", "create_subprocess_exec", True),
    ("subprocess", "create_subprocess_shell", "io", "create_subprocess_shell", True),
    ("base_events", "Server.serve_forever", "io", "Server.serve_forever", True),
    ("base_events", "Server.wait_closed", "io", "Server.wait_closed", True),
    ("base_events", "BaseEventLoop.create_connection", "io", "create_connection", True),
    ("base_events", "BaseEventLoop.getaddrinfo", "io", "getaddrinfo", True),
    ("selector_events", "BaseSelectorEventLoop.sock_recv", "io", "sock_recv", True),
    ("selector_events", "BaseSelectorEventLoop.sock_sendall", "io", "sock_sendall", True),
    ("selector_events", "BaseSelectorEventLoop.sock_accept", "io", "sock_accept", True),
    ("selector_events", "BaseSelectorEventLoop.sock_connect", "io", "sock_connect", True),
)

#: Operations of a resource of asyncio, which is `self` there.
_OF_RESOURCES = ("Lock.", "Event.", "Condition.", "Semaphore.", "Barrier.", "Queue.")

# Role of each code object by its id, and the code objects, so that their ids stay theirs.
_roles = {}
_codes = []

# Kind, name and whether there is a resource, of the operation that a code object is, by its id.
_operations = {}


def _code_of(module, path):
    """Returns the code object of a function of asyncio, or None if this version has no such function."""
    found = sys.modules.get("asyncio." + module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return getattr(found, "__code__", None)


def _learn_operations():
    for module, path, kind, name, is_leaf in _OPERATIONS:
        code = _code_of(module, path)
        if code is not None:
            _codes.append(code)
            _roles[id(code)] = _LEAF if is_leaf else _INTERNAL
            _operations[id(code)] = (kind, name, name.startswith(_OF_RESOURCES))


_learn_operations()


def _learn_role(code):
    _codes.append(code)
    role = _INTERNAL if code.co_filename.startswith(ASYNCIO_FOLDER) else _USER
    _roles[id(code)] = role
    return role


def _parts(awaitable):
    """Returns code, frame and what is awaited, of anything that has a frame; else None."""
    for prefix in ("cr_", "gi_", "ag_"):
        code = getattr(awaitable, prefix + "code", None)
        if code is not None:
            below = "gi_yieldfrom" if prefix == "gi_" else prefix + "await"
            return code, getattr(awaitable, prefix + "frame", None), getattr(awaitable, below, None)
    return None


def _below(awaitable):
    """Returns what an object without a frame stands for, such as a step of an asynchronous generator; else None."""
    for found in gc.get_referents(awaitable):
        if type(found) in (_Coroutine, _Generator, _AsyncGenerator):
            return found
    return None


def walk(coroutine):
    """Returns the chain of a suspended coroutine: key, awaitables of the program, what the last of them awaits, and the
    awaitable of the operation of asyncio below it, or None.

    The walk ends at the operation: what asyncio does inside is not shown.
    """
    key = []
    frames = []
    awaited = operation = None
    current = coroutine
    roles = _roles
    for _ in range(FRAMES_MAX):
        cls = current.__class__
        if cls is _Coroutine:
            code = current.cr_code
            role = roles.get(id(code))
            if role is None:
                role = _learn_role(code)
            if role == _LEAF:
                key.append(id(code))
                if operation is None:
                    operation = current
                break
            frame = current.cr_frame
            below = current.cr_await
        else:
            parts = _parts(current)
            if parts is None:
                found = _below(current)
                if found is None or found in frames:
                    break
                current = found
                continue
            code, frame, below = parts
            role = roles.get(id(code))
            if role is None:
                role = _learn_role(code)
        if frame is None:
            break
        key.append(id(code))
        key.append(frame.f_lasti)
        if role == _USER:
            frames.append(current)
            awaited = below
            operation = None
        elif operation is None and id(code) in _operations:
            operation = current
        if below is None:
            break
        current = below
    return key, frames, awaited, operation


def is_leaf(code):
    """Whether the chain ends at this operation of asyncio."""
    return _roles.get(id(code)) == _LEAF


def operation_of(awaitable):
    """Returns kind, name and whether there is a resource, of an operation of asyncio."""
    return _operations.get(id(_parts(awaitable)[0]), ("other", "", False))


def resource_of(awaitable):
    """Returns the lock, queue and so on of an operation of asyncio, or None."""
    frame = _parts(awaitable)[1]
    return frame.f_locals.get("self") if frame is not None else None


def describe(awaitables):
    """Returns function, file and line of each awaitable, as a tuple."""
    found = []
    for awaitable in awaitables:
        code, frame, _ = _parts(awaitable)
        line = frame.f_lineno if frame is not None else code.co_firstlineno
        name = getattr(awaitable, "__qualname__", code.co_name)
        found.append((short(name), code.co_filename, line or code.co_firstlineno))
    return tuple(found)


def short(name):
    """Returns a qualified name without the functions around it."""
    return name.rsplit("<locals>.", 1)[-1]


def stack(frame, outermost_code):
    """Returns function, file and line of the frames of a running thread, outermost first, up to a frame of this code.
    Frames of asyncio are left out."""
    found = []
    while frame is not None and frame.f_code is not outermost_code and len(found) < FRAMES_MAX:
        code = frame.f_code
        if not code.co_filename.startswith((ASYNCIO_FOLDER, OWN_FOLDER)):
            name = getattr(code, "co_qualname", code.co_name)
            found.append((short(name), code.co_filename, frame.f_lineno or code.co_firstlineno))
        frame = frame.f_back
    return tuple(reversed(found))


#: Folder of this module.
OWN_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep


def caller(frame):
    """Returns file and line of the innermost frame of the program; an empty file and 0 if there is none."""
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((ASYNCIO_FOLDER, OWN_FOLDER, "<frozen")):
            return file, frame.f_lineno or 0
        frame = frame.f_back
    return "", 0
