import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def steps():
    try:
        await asyncio.sleep(60)
    finally:
        say("cleanup begins")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            say("cancelled again", error.args[0])
            raise


async def main():
    task = asyncio.create_task(steps())
    await asyncio.sleep(1)
    task.cancel("first")
    await asyncio.sleep(1)
    task.cancel("second")
    await asyncio.wait([task])
    say(task.cancelled())


asyncio.run(main())
