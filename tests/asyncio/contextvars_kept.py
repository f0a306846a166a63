import asyncio
import contextvars

import counting

current = contextvars.ContextVar("current", default="none")


async def work(name):
    current.set(name)
    await asyncio.sleep(0.001)
    assert current.get() == name


async def main():
    await asyncio.gather(*(work("task-%d" % number) for number in range(4)))
    assert current.get() == "none"


counting.run(main())
