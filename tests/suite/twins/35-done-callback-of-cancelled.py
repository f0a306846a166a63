import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def work():
    await asyncio.sleep(60)


async def main():
    task = asyncio.create_task(work())
    task.add_done_callback(lambda task: say("callback", task.cancelled()))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.sleep(1)
    say("done")


asyncio.run(main())
