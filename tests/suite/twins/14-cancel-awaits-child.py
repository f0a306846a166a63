import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def child():
    try:
        await asyncio.sleep(60)
    finally:
        say("child leaves")
        await asyncio.sleep(1)


async def parent(task):
    try:
        await task
    finally:
        say("parent leaves", task.cancelled())


async def main():
    inner = asyncio.create_task(child())
    outer = asyncio.create_task(parent(inner))
    await asyncio.sleep(1)
    outer.cancel()
    await asyncio.wait([outer])
    say(inner.cancelled(), outer.cancelled())


asyncio.run(main())
