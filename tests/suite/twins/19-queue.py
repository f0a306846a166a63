import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def producer(queue):
    for item in range(1, 5):
        await queue.put(item)
        say("put", item)
    await queue.put(None)


async def main():
    queue = asyncio.Queue(2)
    task = asyncio.create_task(producer(queue))
    while (item := await queue.get()) is not None:
        say("got", item)
        await asyncio.sleep(1)
    await task
    say("done", queue.qsize())


asyncio.run(main())
