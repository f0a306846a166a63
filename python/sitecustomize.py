"""Starts loopscope's module in every Python that `loopscope exec` starts, then runs the `sitecustomize` that this shadows."""

import os
import sys


def _run_shadowed(folder):
    """Runs the next `sitecustomize` on the path, if there is one, under its own name."""
    import importlib.machinery
    import importlib.util

    path = [entry for entry in sys.path if os.path.abspath(entry or ".") != folder]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _start():
    folder = os.path.dirname(os.path.abspath(__file__))
    try:
        import loopscope

        loopscope.install_when_asyncio_is_imported()
    except Exception as error:
        # The program must run as it does without loopscope.
        sys.stderr.write("loopscope: asyncio is not observed: {!r}\n".format(error))
    # The program's own path is as it was. Child processes inherit the variable.
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != folder]
    _run_shadowed(folder)


_start()
