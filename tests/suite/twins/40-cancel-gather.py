import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def part(name):
    try:
        await asyncio.sleep(60)
    finally:
        say(name, "leaves")


async def both():
    await asyncio.gather(part("a"), part("b"))


async def main():
    task = asyncio.create_task(both())
    await asyncio.sleep(1)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        say("cancelled", task.cancelled())
    say(len(asyncio.all_tasks()))


asyncio.run(main())
