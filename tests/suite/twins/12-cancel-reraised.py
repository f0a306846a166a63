import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def polite():
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        say("saving")
        await asyncio.sleep(1)
        say("saved")
        raise


async def main():
    task = asyncio.create_task(polite())
    await asyncio.sleep(1)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        say(task.cancelled(), task.done())


asyncio.run(main())
