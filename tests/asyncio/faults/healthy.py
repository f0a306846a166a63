"""Producers and consumers with a bounded queue and a lock, which do nothing wrong."""

import asyncio


async def produce(queue):
    for number in range(20):
        await asyncio.sleep(0.01)
        await queue.put(number)


async def consume(queue, lock, total):
    while True:
        number = await queue.get()
        async with lock:
            total.append(number)
        queue.task_done()


async def main():
    queue, lock, total = asyncio.Queue(4), asyncio.Lock(), []
    consumers = [asyncio.create_task(consume(queue, lock, total)) for _ in range(3)]
    await asyncio.gather(*(produce(queue) for _ in range(4)))
    await queue.join()
    for consumer in consumers:
        consumer.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)
    print(sum(total))


asyncio.run(main())
