import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def job():
    await asyncio.sleep(3)
    say("job done")
    return 42


async def main():
    task = asyncio.create_task(job())
    try:
        await asyncio.wait_for(asyncio.shield(task), 1)
    except asyncio.TimeoutError:
        say("timed out", task.done())
    say(await task)


asyncio.run(main())
