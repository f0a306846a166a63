import asyncio
import sys

import counting


async def at_once():
    return 1


async def later():
    await asyncio.sleep(0)
    return 2


async def main():
    if sys.version_info < (3, 12):
        return
    loop = asyncio.get_running_loop()

    def eager(loop, coroutine, **options):
        counting.counts["tasks"] += 1
        return asyncio.Task(counting.Counting(coroutine), loop=loop, eager_start=True, **options)

    loop.set_task_factory(eager)
    assert await asyncio.gather(asyncio.create_task(at_once()), asyncio.create_task(later())) == [1, 2]
    loop.set_task_factory(counting.factory)


counting.run(main())
