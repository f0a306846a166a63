import asyncio

import counting


async def main():
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    calls = []
    loop.call_soon(calls.append, 1)
    loop.call_later(0.002, done.set_result, "late")
    loop.call_at(loop.time() + 0.001, calls.append, 2)
    cancelled = loop.call_later(0.001, calls.append, 3)
    cancelled.cancel()
    assert await done == "late" and calls == [1, 2]


counting.run(main())
