"""The connection to loopscope, the threads that serve it, and what belongs to one recording."""

import json
import os
import signal
import socket
import struct
import sys
from _thread import allocate_lock, get_ident, start_new_thread
from asyncio import events
from hmac import compare_digest

from . import _chains, _clock, _records
from ._buffers import CONTROL, Buffer, Definitions
from ._clock import BASE_NS, monotonic_ns
from ._gate import Gate
from ._hooks import Hooks
from ._output import Output
from ._resources import Resources
from ._tasks import LoopState, Tasks

PROTOCOL = 1
PROBE_VERSION = "0.2.0"

HELLO, _, DEFINITION, ROUND, REPLY, BYE, OUTPUT, SNAPSHOT_END, WORDS = range(1, 10)
START, COMMAND = 1, 2

#: Longest frame from loopscope in bytes, and records in one frame to it: 1 MiB at most.
COMMAND_BYTES_MAX = 1 << 16
RECORD_BYTES_PER_FRAME = (1 << 20) - 128

#: Seconds that the handshake may take, between two rounds, and for the last round at the end.
HANDSHAKE_SECONDS = 10.0
ROUND_SECONDS = 0.01
IDLE_SECONDS = 0.05
LAST_ROUND_SECONDS = 2.0

#: Bytes of records that wait, from which on a loop leaves the interpreter to the thread that sends, for so many seconds,
#: and the nanoseconds before it does so again.
RELIEF_BYTES = 1 << 19
RELIEF_SECONDS = 0.001
RELIEF_PAUSE_NS = 5_000_000

#: Seconds that a loop on a virtual clock waits at once for something from outside.
OUTSIDE_SECONDS = 0.05

#: The stack of a poll is sampled after it took this long, in nanoseconds, and once more.
SAMPLE_NS = (10_000_000, 100_000_000)


class Session:
    """One connection to loopscope, and what is recorded for it."""

    def __init__(self):
        self.definitions = Definitions()
        self.gate = Gate(self)
        self.tasks = Tasks(self)
        self.resources = Resources(self)
        self.hooks = Hooks(self)
        self.output = Output(self)
        self.is_recording = False
        self.control_buffer = Buffer(CONTROL)
        self.buffers = [self.control_buffer]
        self.threads = {}
        self.loops = []
        self.frames = []
        self.relief_due_ns = 0
        self.lock = allocate_lock()
        self.sending = allocate_lock()
        self.socket = None
        self.may_control = False
        self.secret = os.environ.get("LOOPSCOPE_PROBE_SECRET", "")

    # -- What the hooks use.

    def guarded(self, function):
        """Returns a function that does the same, and ends the recording if that fails: the program goes on as it does
        without loopscope."""

        def call(*arguments):
            try:
                return function(*arguments)
            except Exception as error:
                self.fail(error)
                return None

        return call

    def fail(self, error):
        """Ends the recording because of an error of ours, which is reported once."""
        if self.is_recording:
            self.close()
            import traceback

            place = traceback.extract_tb(error.__traceback__)[-1]
            where = "{}:{}".format(os.path.basename(place.filename), place.lineno)
            sys.stderr.write("loopscope: recording ended by an error of its own: {!r} ({})\n".format(error, where))

    def _running(self):
        """Returns the state of the loop of this thread, and what it runs now. Each is None if there is none."""
        state = getattr(events._get_running_loop(), "_loopscope", None)
        return state, state.current if state is not None else None

    def _running_number(self):
        """Returns the number of the task that this thread runs, or 0."""
        _, task = self._running()
        return task.number if task is not None else 0

    def write(self, *words):
        """Adds records of the thread that calls this."""
        state, _ = self._running()
        if state is not None:
            state.flush()
            state.write(*words)
        else:
            buffer = self._thread_buffer()
            buffer.write(*words)
            buffer.check()

    def _thread_buffer(self):
        ident = get_ident()
        buffer = self.threads.get(ident)
        if buffer is None:
            buffer = self.threads[ident] = self._new_buffer("thread", None)
        return buffer

    def _new_buffer(self, name, runtime):
        with self.lock:
            buffer = Buffer(len(self.buffers) + 1)
            self.buffers.append(buffer)
        system_id = getattr(sys.modules.get("threading"), "get_native_id", int)()
        self.definitions.add(
            "thread",
            {
                "id": buffer.id,
                "name": name,
                "worker": None if runtime is None else 0,
                "runtime": runtime or 0,
                "system_id": system_id,
            },
        )
        return buffer

    def loop_state(self, loop):
        """Returns the state of a loop, which is created now if it is new."""
        try:
            return loop._loopscope
        except AttributeError:
            pass
        threading = sys.modules["threading"]
        with self.lock:
            number = len(self.loops) + 1
        buffer = self._new_buffer(threading.current_thread().name, number)
        state = LoopState(self, loop, buffer)
        with self.lock:
            self.loops.append(state)
        loop._loopscope = state
        self._watch_waits(loop, state)
        return state

    def _watch_waits(self, loop, state):
        """Records when the loop waits for timers and sockets."""
        selector = getattr(loop, "_selector", None)
        if selector is None:
            return
        original = selector.select
        write = state.write
        gate = self.gate

        buffer, records = state.buffer, state.buffer.records

        @self.guarded
        def relieve():
            self.let_send()
            buffer.check()

        def wait_virtually(timeout=None):
            if len(records) > RELIEF_BYTES:
                relieve()
            if gate.is_active:
                gate.wait_in_select(state)
            found = original(0)
            if found or (timeout is not None and timeout <= 0) or gate.closed_at is not None:
                return found
            write(_records.PARK, monotonic_ns(), 0)
            if timeout is None:
                # Only something from outside can wake the program, so time passes as it does there.
                begun = _clock.real_monotonic_ns()
                found = original(OUTSIDE_SECONDS)
                _clock.advance_to(monotonic_ns() + _clock.real_monotonic_ns() - begun)
                write(_records.UNPARK, monotonic_ns(), 0)
                return found
            due = loop._scheduled[0]._when if loop._scheduled else loop.time() + timeout
            _clock.advance_to(round(due * 1e9) + gate.paused_ns)
            write(_records.UNPARK, monotonic_ns(), 0)
            return found

        def wait(timeout=None):
            if len(records) > RELIEF_BYTES:
                relieve()
            if timeout is not None and timeout <= 0:
                return original(timeout)
            write(_records.PARK, monotonic_ns(), 0)
            try:
                found = original(timeout)
            finally:
                write(_records.UNPARK, monotonic_ns(), 0)
            if gate.is_active and not found:
                gate.wait_in_select(state)
            return found

        selector.select = wait_virtually if _clock.IS_VIRTUAL else wait

    def control(self, kind, now_ns, task, argument):
        """Adds a record about the whole program."""
        self.control_buffer.write(kind, now_ns, task, *(() if argument is None else (argument,)))

    def task_record(self, kind, task):
        """Adds a record about a task on behalf of the user."""
        self.control_buffer.write(kind, monotonic_ns(), task.number)

    def reply(self, status):
        """Adds a reply."""
        status["may_control"] = self.may_control
        self._add_frame(REPLY, status)

    def printed(self, ticks, text, is_error):
        """Adds a line that the program printed."""
        task = self._running_number()
        self._add_frame(OUTPUT, {"ticks": ticks, "task": task, "is_error": is_error, "text": text})

    def notice(self, kind, future, context):
        """Adds what asyncio reports of a future or task that has ended."""
        state = getattr(future, "_loopscope", None)
        error = context.get("exception")
        file, line = "", 0
        trace = getattr(error, "__traceback__", None)
        while trace is not None:
            file, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
            trace = trace.tb_next
        self._add_notice(kind, state.number if state else 0, state.name if state else "", file, line, repr(error))

    def never_awaited(self, coroutine, file, line):
        """Adds a coroutine that was created and never awaited, with where it was lost."""
        name = _chains.short(coroutine.__qualname__)
        self._add_notice("never_awaited", self._running_number(), name, file, line, "")

    def _add_notice(self, kind, task, name, file, line, text):
        if self.is_recording:
            notice = {"kind": kind, "ticks": monotonic_ns() - BASE_NS, "task": task, "name": name}
            self.definitions.add("notice", dict(notice, file=file, line=line, text=text[:4096]))

    def _add_frame(self, kind, value):
        self.frames.append((kind, json.dumps(value).encode()))

    # -- The connection.

    def connect(self, path):
        """Connects to loopscope, and begins to record. Returns whether that worked."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(HANDSHAKE_SECONDS)
        try:
            connection.connect(path)
            connection.sendall(_frame(HELLO, json.dumps(self._hello()).encode()))
            kind, payload = _read_frame(connection)
            start = json.loads(payload)
        except (OSError, EOFError, ValueError):
            connection.close()
            return False
        if kind != START or start.get("protocol") != PROTOCOL or start.get("dump"):
            connection.close()
            return False
        self.may_control = bool(self.secret) and _is_equal(start.get("secret"), self.secret)
        connection.settimeout(None)
        self.socket = connection
        self.is_recording = True
        self.hooks.install()
        self.resources.install()
        self.output.install()
        _clock.after_block = self.guarded(self.blocked)
        self.frames.append((SNAPSHOT_END, b""))
        self.reply(self.gate.status())
        start_new_thread(self._read_commands, ())
        start_new_thread(self._send_rounds, ())
        return True

    def _hello(self):
        implementation = sys.implementation.name
        version = "{} {}.{}.{}".format({"cpython": "CPython"}.get(implementation, implementation), *sys.version_info[:3])
        name = os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) and sys.argv[0] else "python"
        return {
            "protocol": PROTOCOL,
            "pid": os.getpid(),
            "name": name,
            "runtime": "asyncio",
            "runtime_version": version,
            "probe": PROBE_VERSION,
            "started_unix_ns": _clock.BASE_UNIX_NS,
            "base_unix_ns": _clock.BASE_UNIX_NS,
            "base_monotonic_ns": BASE_NS,
            "ticks_per_second": _clock.TICKS_PER_SECOND,
            "boot_id": _boot_id(),
            "is_clock_virtual": _clock.IS_VIRTUAL,
            "tasks": len(self.tasks.live),
            "facts": {"polls": True, "wakes": True, "resources": True, "hooks": True},
            "allows_control": False,
        }

    def _read_commands(self):
        _block_signals()
        while True:
            try:
                kind, payload = _read_frame(self.socket)
                if kind != COMMAND:
                    continue
                command = json.loads(payload)
            except (OSError, EOFError, ValueError):
                break
            error = None
            try:
                if not self.may_control:
                    raise ValueError("the program does not permit control: start it with `loopscope exec`")
                self.gate.carry_out(command)
            except (ValueError, KeyError, TypeError) as found:
                error = str(found)
            self.reply(self.gate.status(error))
        self.close()

    def _send_rounds(self):
        _block_signals()
        pause = ROUND_SECONDS
        while self.is_recording:
            try:
                is_idle = not self.send_round()
            except OSError:
                break
            self._sample()
            self.gate.check_pause(self.loops)
            pause = min(pause * 2, IDLE_SECONDS) if is_idle else ROUND_SECONDS
            _clock.sleep(pause)
        self.close()

    def send_round(self):
        """Sends what was recorded. Returns whether there was anything."""
        with self.sending:
            now = monotonic_ns()
            parts = [_frame(kind, payload) for kind, payload in self._take_frames()]
            with self.lock:
                buffers = list(self.buffers)
            records = []
            for buffer in buffers:
                if buffer.records or buffer.dropped:
                    head = struct.pack("<I", buffer.id)
                    records.extend(_frame(WORDS, head + part) for part in buffer.take(RECORD_BYTES_PER_FRAME))
            # Definitions are made before the records that use them, so they are taken after those.
            parts.extend(_frame(DEFINITION, payload) for payload in self.definitions.take())
            parts.extend(records)
            has_any = bool(parts)
            parts.append(_frame(ROUND, struct.pack("<2Q", now - BASE_NS, now)))
            self.socket.sendall(b"".join(parts))
            return has_any

    def let_send(self):
        """Leaves the interpreter to the thread that sends, for a moment. A loop that is always ready gives it back so
        often, and takes it again so soon, that the other thread hardly gets it."""
        now = _clock.real_monotonic_ns()
        if now >= self.relief_due_ns:
            _clock.sleep(RELIEF_SECONDS)
            self.relief_due_ns = _clock.real_monotonic_ns() + RELIEF_PAUSE_NS

    def _take_frames(self):
        taken = self.frames[:]
        del self.frames[: len(taken)]
        return taken

    def _sample(self):
        """Samples the stacks of loops whose step takes long. On a virtual clock, only a call that blocks takes time."""
        if _clock.IS_VIRTUAL:
            return
        now = monotonic_ns()
        for loop in self.loops:
            state, started = loop.current, abs(loop.started_ns)
            after_ns = now - started
            if state is None or loop.is_stopped or after_ns < SAMPLE_NS[0]:
                continue
            # Once when the poll is known to last, and once more when it is long.
            if loop.sampled_ns >= started and (after_ns < SAMPLE_NS[1] or loop.sampled_ns - started >= SAMPLE_NS[1]):
                continue
            frame = sys._current_frames().get(loop.thread)
            frames = _chains.stack(frame, self.hooks.outermost_code)
            del frame
            if loop.current is state and abs(loop.started_ns) == started:
                loop.sampled_ns = now
                self._write_sample(loop, state, frames, started)

    def blocked(self, started_ns):
        """Records that the task that this thread runs has blocked in `time.sleep` since then."""
        loop, task = self._running()
        if task is not None and self.is_recording:
            loop.flush()
            frames = _chains.stack(sys._getframe(1), self.hooks.outermost_code)
            _, file, line = frames[-1] if frames else ("", "", 0)
            site = self.definitions.site("block", "time.sleep", file, line, frames)
            loop.write(_records.BLOCKED, monotonic_ns(), task.number, site, started_ns)

    def _write_sample(self, loop, task, frames, started_ns):
        name, file, line = frames[-1] if frames else ("", "", 0)
        site = self.definitions.site("other", name, file, line, frames)
        loop.write(_records.SAMPLED, monotonic_ns(), task.number, site, started_ns)

    def close(self):
        """Ends the recording: the program goes on as it does without loopscope."""
        with self.lock:
            if not self.is_recording:
                return
            self.is_recording = False
        # A pause under way ends here, so that the time of the loops is known to have stood still.
        self.gate.reset()
        self.hooks.uninstall()
        self.resources.uninstall()
        self.output.uninstall()
        for loop in self.loops:
            selector = getattr(loop.loop(), "_selector", None)
            if selector is not None:
                selector.__dict__.pop("select", None)
        try:
            self.socket.close()
        except OSError:
            pass

    def finish(self):
        """Sends the rest at the end of the program."""
        if not self.is_recording:
            return
        try:
            self.socket.settimeout(LAST_ROUND_SECONDS)
            while self.send_round():
                pass
            self.socket.sendall(_frame(BYE, b""))
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        self.is_recording = False

    def abandon(self):
        """Forgets the connection in a forked child, which is a program of its own and not observed."""
        if self.is_recording:
            self.is_recording = False
            self.lock = allocate_lock()
            self.hooks.uninstall()
            self.resources.uninstall()
            self.output.uninstall()
            self.socket.close()


def _is_equal(given, secret):
    return compare_digest(str(given).encode("utf-8", "surrogatepass"), secret.encode("utf-8", "surrogateescape"))


def _frame(kind, payload):
    return struct.pack("<IB", len(payload) + 1, kind) + payload


def _read_exactly(connection, count):
    parts = []
    while count:
        part = connection.recv(count)
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _read_frame(connection):
    """Returns kind and payload of the next frame. Raises OSError, EOFError or ValueError."""
    (length,) = struct.unpack("<I", _read_exactly(connection, 4))
    if not 1 <= length <= COMMAND_BYTES_MAX:
        raise ValueError("a frame of {} bytes".format(length))
    frame = _read_exactly(connection, length)
    return frame[0], frame[1:]


def _block_signals():
    """Leaves the signals of the process to its own threads."""
    mask = getattr(signal, "pthread_sigmask", None)
    if mask is not None:
        mask(signal.SIG_BLOCK, signal.valid_signals())


def _boot_id():
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
