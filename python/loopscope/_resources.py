"""Locks, semaphores, events and queues of asyncio: their creation, owners and values.

asyncio keeps the state of each in one attribute. While recording, a descriptor of the class takes its place, so that each
change is seen where it happens, without a frame of ours in any chain. The values stay in the objects.
"""

import asyncio
import sys
import weakref

from . import _chains, _records
from ._clock import monotonic_ns

#: Class, attribute, and name of the attribute in loopscope.
_STATES = (
    (asyncio.Lock, "_locked", "locked"),
    (asyncio.Semaphore, "_value", "permits"),
    (asyncio.Event, "_value", "is_set"),
)

#: Class, and kind of resource.
_KINDS = (
    (asyncio.Lock, "lock"),
    (asyncio.Semaphore, "semaphore"),
    (asyncio.Event, "signal"),
    (asyncio.Queue, "channel"),
)

#: Methods after which the length of a queue may have changed.
_QUEUE_METHODS = ("__init__", "put_nowait", "get_nowait")


class Resources:
    """The resources of the program, each with a number from 1."""

    def __init__(self, session):
        self.session = session
        self.count = 0
        #: Weak references by number, so that their ends are noted.
        self.references = {}
        self.originals = {}

    def number(self, resource):
        """Returns the number of a resource, which is defined now if it is new; 0 if it cannot be."""
        try:
            return resource.__dict__["_loopscope"]
        except KeyError:
            return self._define(resource)
        except AttributeError:
            return 0

    def _define(self, resource):
        kind = next((kind for cls, kind in _KINDS if isinstance(resource, cls)), "other")
        self.count += 1
        number = self.count
        resource.__dict__["_loopscope"] = number
        file, line = _chains.caller(sys._getframe(1))
        site = self.session.definitions.site(kind, type(resource).__name__, file, line)
        self.session.write(_records.RESOURCE_CREATED, monotonic_ns(), number, site, 0)

        def end(_, number=number):
            self.references.pop(number, None)
            if self.session.is_recording:
                self.session.write(_records.RESOURCE_DROPPED, monotonic_ns(), number)

        self.references[number] = weakref.ref(resource, end)
        return number

    def change(self, resource, attribute, value):
        """Records the value of an attribute."""
        number = self.number(resource)
        if number:
            name = self.session.definitions.attribute(attribute)
            self.session.write(_records.RESOURCE_ATTRIBUTE, monotonic_ns(), number, name, max(0, int(value)))

    def install(self):
        """Begins to observe the resources of asyncio."""
        for cls, attribute, name in _STATES:
            setattr(cls, attribute, self._descriptor(attribute, name))
        queue = asyncio.Queue
        for method in _QUEUE_METHODS:
            self.originals[method] = queue.__dict__[method]
            setattr(queue, method, self._queue_method(queue.__dict__[method]))

    def uninstall(self):
        """Ends that."""
        for cls, attribute, _ in _STATES:
            if attribute in cls.__dict__:
                delattr(cls, attribute)
        for method, original in self.originals.items():
            setattr(asyncio.Queue, method, original)
        self.originals.clear()

    def _descriptor(self, attribute, name):
        change = self.session.guarded(self.change)

        def read(resource):
            try:
                return resource.__dict__[attribute]
            except KeyError:
                raise AttributeError(attribute) from None

        def write(resource, value):
            resource.__dict__[attribute] = value
            change(resource, name, value)

        return property(read, write)

    def _queue_method(self, original):
        change = self.session.guarded(self.change)

        def observed(queue, *arguments, **options):
            try:
                return original(queue, *arguments, **options)
            finally:
                change(queue, "length", queue.qsize())

        observed.__name__ = original.__name__
        observed.__qualname__ = original.__qualname__
        observed.__doc__ = original.__doc__
        return observed
