import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def work():
    await asyncio.sleep(1)
    return 7


def finished(task):
    say("callback", task.result())


async def main():
    task = asyncio.create_task(work())
    task.add_done_callback(finished)
    task.add_done_callback(lambda task: say("second", task.done()))
    say("await", await task)


asyncio.run(main())
