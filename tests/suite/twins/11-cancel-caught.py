import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def stubborn():
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError as error:
        say("caught", error.args[0])
    await asyncio.sleep(2)
    return "kept on"


async def main():
    task = asyncio.create_task(stubborn())
    await asyncio.sleep(1)
    task.cancel("please stop")
    say(await task, task.cancelled())


asyncio.run(main())
