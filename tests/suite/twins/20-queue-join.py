import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def worker(name, queue):
    while True:
        seconds = await queue.get()
        await asyncio.sleep(seconds)
        say(name, "finished", seconds)
        queue.task_done()


async def main():
    queue = asyncio.Queue()
    for seconds in (3, 1, 1.5, 4):
        queue.put_nowait(seconds)
    workers = [asyncio.create_task(worker(name, queue)) for name in ("a", "b")]
    await queue.join()
    say("joined")
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    say(all(task.cancelled() for task in workers))


asyncio.run(main())
