"""Shows loopscope what an asyncio program does: each step of each task, each wake and its cause, and the await chains.

`loopscope exec -- python3 PROGRAM.py` installs this module by itself. Nothing here listens or connects otherwise.
"""

import os
import sys
from _thread import allocate_lock, get_ident

__all__ = ["install_when_asyncio_is_imported"]

#: Oldest version of Python that is supported.
_PYTHON_MIN = (3, 9)

_lock = allocate_lock()

#: The socket to which a connection was attempted, and the session on it.
_path = None
_current = None


def install_when_asyncio_is_imported():
    """Records for the loopscope that started this process, from the first run of a loop on."""
    path = os.environ.get("LOOPSCOPE_PROBE_SOCKET")
    if not path:
        return
    if sys.version_info < _PYTHON_MIN:
        raise RuntimeError("Python {}.{} or later is needed".format(*_PYTHON_MIN))
    from . import _clock

    if _clock.IS_VIRTUAL:
        _clock.replace_time()
    if "asyncio" in sys.modules:
        _prepare(path)
    else:
        _watch_imports(lambda: _prepare(path))


def _watch_imports(prepare):
    """Calls `prepare` once asyncio has been imported."""
    import importlib.machinery

    class Finder:
        """Finds asyncio as usual, and calls `prepare` after it was executed."""

        @staticmethod
        def find_spec(name, path=None, target=None):
            if name != "asyncio":
                return None
            sys.meta_path.remove(Finder)
            spec = importlib.machinery.PathFinder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                execute = spec.loader.exec_module

                def exec_module(module):
                    execute(module)
                    prepare()

                spec.loader.exec_module = exec_module
            return spec

    sys.meta_path.insert(0, Finder)


def _prepare(path):
    """Connects when the first loop runs."""
    from asyncio import base_events

    run_forever = base_events.BaseEventLoop.run_forever

    def observed(loop):
        _connect(path)
        session = _current
        if session is not None and session.is_recording:
            state = getattr(loop, "_loopscope", None) or session.loop_state(loop)
            state.thread = get_ident()
        return run_forever(loop)

    observed.__name__ = run_forever.__name__
    observed.__qualname__ = run_forever.__qualname__
    observed.__doc__ = run_forever.__doc__
    base_events.BaseEventLoop.run_forever = observed


def _connect(path):
    """Connects once; loops that other threads run meanwhile wait for it."""
    global _current, _path
    with _lock:
        if _path is not None:
            return
        _path = path
        try:
            import atexit

            from . import _clock
            from ._session import Session

            session = Session()
            if session.connect(path):
                _current = session
                if _clock.IS_VIRTUAL:
                    from . import _virtual

                    _virtual.watch(session.finish)
                atexit.register(session.finish)
                os.register_at_fork(after_in_child=session.abandon)
        except Exception as error:
            sys.stderr.write("loopscope: asyncio is not observed: {!r}\n".format(error))
