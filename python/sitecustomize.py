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


_run_shadowed(os.path.dirname(os.path.abspath(__file__)))
