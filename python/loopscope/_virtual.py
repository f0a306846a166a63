"""Refuses a virtual clock to programs for which it makes no sense: those that wait for anything but timers."""

import os
import sys
import threading

#: Events of Python's audit hooks, and what they mean.
_REFUSED = {
    "socket.connect": "opens a socket",
    "socket.bind": "opens a socket",
    "socket.getaddrinfo": "looks up an address",
    "_thread.start_new_thread": "starts a thread",
    "subprocess.Popen": "starts a process",
    "os.fork": "starts a process",
    "os.posix_spawn": "starts a process",
}


#: Folders of Python's own modules and of this one, and the folder in the first of them that is not Python's own.
_LIBRARIES = (os.path.dirname(os.__file__) + os.sep, os.path.dirname(os.path.abspath(__file__)) + os.sep, "<frozen")
_PACKAGES = os.sep + "site-packages" + os.sep


def _line():
    """Returns the innermost line of the program."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_LIBRARIES) or _PACKAGES in file:
            return "{}:{}".format(file, frame.f_lineno)
        frame = frame.f_back
    return "the program"


def _refuse(what, finish):
    sys.stdout.flush()
    message = "loopscope: a virtual clock is for programs that only sleep and compute, but {} {}\n"
    sys.stderr.write(message.format(_line(), what))
    sys.stderr.write("help: run it with --clock real\n")
    sys.stderr.flush()
    finish()
    # The program cannot go on as if nothing had happened, and must not handle this as an error of its own.
    os._exit(2)


def watch(finish):
    """Ends the program once it does what is refused. `finish` is called before."""

    def audit(event, arguments):
        if event in _REFUSED:
            _refuse(_REFUSED[event], finish)
        elif event == "import" and arguments[0] == "uvloop":
            _refuse("imports uvloop", finish)

    def start_thread(*arguments, **options):
        _refuse("starts a thread", finish)

    sys.addaudithook(audit)
    # Not all versions audit the start of a thread.
    for name in ("_start_new_thread", "_start_joinable_thread"):
        if hasattr(threading, name):
            setattr(threading, name, start_thread)
