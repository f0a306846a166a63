import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def steps():
    try:
        try:
            await asyncio.sleep(60)
        finally:
            say("inner begins")
            await asyncio.sleep(1)
            say("inner ends")
    finally:
        say("outer begins")
        await asyncio.sleep(1)
        say("outer ends")


async def main():
    task = asyncio.create_task(steps())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    say(task.cancelled())


asyncio.run(main())
