"""The gate, through which every step goes while loopscope controls the program."""

import threading

from . import _clock, _records
from ._breakpoints import Breakpoint

OPEN, CLOSED, STEP_POLLS, STEP_TO_TASK = range(4)

#: Seconds after which a waiting thread looks for signals, such as Ctrl-C.
WAIT_SECONDS = 0.1


class Gate:
    """Lets steps of tasks pass, or stops each thread before its next one."""

    def __init__(self, session):
        self.session = session
        self.changed = threading.Condition(threading.Lock())
        #: A step must ask: the gate is not open, there are breakpoints, or tasks are held.
        self.is_active = False
        self.mode = OPEN
        self.polls_left = 0
        self.wanted = 0
        #: The task whose step was let pass, while it runs.
        self.stepping = 0
        self.breakpoints = []
        self.hit = None
        self.task = 0
        self.poll_ns = 0
        self.is_paused = False
        self.was_quiet = False
        self.continues = 1
        #: Handles of held tasks, by the number of the task.
        self.held = {}
        #: Duration of all pauses, and the start of the one under way or None, in nanoseconds.
        self.paused_ns = 0
        self.closed_at = None

    # -- Called by the threads of the program, only while `is_active`.

    def before_poll(self, loop_state, task, handle):
        """Waits until the task may be polled. Returns False if it is held: its handle is kept until it is released."""
        with self.changed:
            if self.mode == OPEN or self.mode == STEP_TO_TASK:
                self._check_breakpoints(task, "poll", 0)
            while True:
                waiting = self.held.get(task.number)
                if waiting is not None:
                    waiting.append(handle)
                    return False
                if self.mode == OPEN or self.mode == STEP_TO_TASK:
                    return True
                if self.mode == STEP_POLLS and not self.stepping and self.polls_left:
                    self.polls_left -= 1
                    self.stepping = task.number
                    return True
                loop_state.is_stopped = True
                try:
                    self.changed.wait(WAIT_SECONDS)
                finally:
                    loop_state.is_stopped = False

    def after_poll(self, task, duration_ns):
        """Notes the end of a poll."""
        with self.changed:
            self._check_breakpoints(task, "poll >", duration_ns)
            if self.mode == STEP_POLLS and self.stepping == task.number:
                self.stepping = 0
                if not self.polls_left:
                    self._pause(task.number, _records.BY_STEP)
                self.changed.notify_all()
            elif self.mode == STEP_TO_TASK and self.wanted == task.number:
                self._pause(task.number, _records.BY_STEP)

    def on_wake(self, task):
        """Notes a wake."""
        with self.changed:
            self._check_breakpoints(task, "wake", 0)

    def on_end(self, task):
        """Notes the end of a task."""
        with self.changed:
            self._check_breakpoints(task, "end", 0)
            self.held.pop(task.number, None)

    def wait_in_select(self, loop_state):
        """Waits while the gate is closed and nothing is ready."""
        with self.changed:
            loop_state.is_stopped = True
            try:
                if self.mode == CLOSED:
                    self.changed.wait(WAIT_SECONDS)
            finally:
                loop_state.is_stopped = False

    def loop_ns(self):
        """Returns the time of a loop in nanoseconds: it stands still while the gate is closed."""
        closed_at = self.closed_at
        now = _clock.monotonic_ns() if closed_at is None else closed_at
        return now - self.paused_ns

    # -- Called with the lock.

    def _check_breakpoints(self, task, event, duration_ns):
        if self.mode == CLOSED:
            return
        for breakpoint in self.breakpoints:
            if breakpoint.is_met(event, task.name, task.number, duration_ns):
                self.hit = breakpoint.text
                self.poll_ns = duration_ns
                self._pause(task.number, _records.BY_BREAKPOINT)
                return

    def _pause(self, task, cause):
        self.mode = CLOSED
        self.task = task
        self.is_paused = self.was_quiet = False
        now = _clock.monotonic_ns()
        self.closed_at = now
        self.session.control(_records.PAUSED, now, task, cause)
        self.session.reply(self.status())

    def _resume(self, mode):
        was_closed = self.mode != OPEN
        self.continues += 1
        self.mode = mode
        self.stepping = self.task = self.poll_ns = 0
        self.hit = None
        self.is_paused = False
        if self.closed_at is not None:
            now = _clock.monotonic_ns()
            self.paused_ns += now - self.closed_at
            self.closed_at = None
            self.session.control(_records.CONTINUED, now, 0, None)
        if was_closed:
            self.session.reply(self.status())
        self._update()
        self.changed.notify_all()

    def _update(self):
        self.is_active = self.mode != OPEN or bool(self.breakpoints) or bool(self.held)

    # -- Called by the threads of the session.

    def status(self, error=None, may_control=True):
        """Returns a reply."""
        return {
            "may_control": may_control,
            "is_pausing": self.mode == CLOSED,
            "is_paused": self.is_paused,
            "hit": self.hit,
            "task": self.task,
            "poll_ns": self.poll_ns,
            "continues": self.continues,
            "error": error,
        }

    def check_pause(self, loops):
        """Reports a pause as complete once no loop polls a task."""
        with self.changed:
            is_quiet = self.mode == CLOSED and not any(loop.is_polling() for loop in loops)
            if is_quiet and self.was_quiet and not self.is_paused:
                self.is_paused = True
                self.session.reply(self.status())
            self.was_quiet = is_quiet

    def carry_out(self, command):
        """Carries out a command. Raises ValueError if that is not possible."""
        name = command.get("command")
        with self.changed:
            if name == "pause":
                self.is_active = True
                if self.mode != CLOSED:
                    self.hit = None
                    self._pause(0, _records.BY_USER)
            elif name == "continue":
                self._resume(OPEN)
            elif name == "step_polls":
                self.polls_left = max(1, int(command["count"]))
                self._resume(STEP_POLLS)
            elif name == "step_to_task":
                self.wanted = int(command["task"])
                self._resume(STEP_TO_TASK)
            elif name == "set_breakpoints":
                self.breakpoints = Breakpoint.parse_all(command["breakpoints"])
                self._update()
            elif name == "hold":
                self._hold(int(command["task"]))
            elif name == "release":
                self._release(int(command["task"]))
            elif name == "cancel":
                self._cancel(int(command["task"]))
            else:
                raise ValueError("unknown command")

    def _live(self, number):
        task = self.session.tasks.get(number)
        if task is None or task.ref() is None:
            raise ValueError("the task has ended, or is no task")
        return task

    def _hold(self, number):
        task = self._live(number)
        if number not in self.held:
            self.held[number] = []
            self.is_active = True
            self.session.task_record(_records.HELD, task)

    def _release(self, number):
        handles = self.held.pop(number, None)
        if handles is None:
            raise ValueError("the task is not held")
        task = self.session.tasks.get(number)
        if task is not None:
            self.session.task_record(_records.RELEASED, task)
        for handle in handles:
            # The handle runs as if it had been ready only now.
            handle._loop.call_soon_threadsafe(handle._loop._ready.append, handle)
        self._update()

    def _cancel(self, number):
        task = self._live(number).ref()
        task.get_loop().call_soon_threadsafe(task.cancel)

    def reset(self):
        """Opens the gate and forgets everything that was demanded, because loopscope is gone."""
        with self.changed:
            self.breakpoints = []
            for number in list(self.held):
                self._release(number)
            self._resume(OPEN)
            self.continues = 1
