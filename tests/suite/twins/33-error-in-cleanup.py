import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def steps():
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(1)
        raise ValueError("cleanup failed")


async def main():
    task = asyncio.create_task(steps())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    say(task.cancelled(), task.exception())


asyncio.run(main())
