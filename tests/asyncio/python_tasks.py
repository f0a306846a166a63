"""Tasks of asyncio that are written in Python, as where the module in C is missing."""

import asyncio

import counting


class PythonTask(asyncio.tasks._PyTask):
    pass


async def work():
    await asyncio.sleep(0.001)
    await asyncio.sleep(0)


async def main():
    loop = asyncio.get_running_loop()

    def factory(loop, coroutine, **options):
        counting.counts["tasks"] += 1
        return PythonTask(counting.Counting(coroutine), loop=loop, **options)

    loop.set_task_factory(factory)
    await asyncio.gather(work(), work())
    loop.set_task_factory(counting.factory)


counting.run(main())
