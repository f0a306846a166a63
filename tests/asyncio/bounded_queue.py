import asyncio

import counting


async def producer(queue):
    for number in range(20):
        await queue.put(number)
    await queue.put(None)


async def consumer(queue):
    while await queue.get() is not None:
        queue.task_done()
    queue.task_done()


async def main():
    queue = asyncio.Queue(maxsize=3)
    await asyncio.gather(producer(queue), consumer(queue))
    await queue.join()


counting.run(main())
