import asyncio

import counting


async def main():
    queue = asyncio.PriorityQueue()
    for number in (3, 1, 2):
        queue.put_nowait(number)
    assert [await queue.get() for _ in range(3)] == [1, 2, 3]
    getter = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.put_nowait(4)
    assert await getter == 4


counting.run(main())
