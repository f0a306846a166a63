import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def nap(seconds, breaks):
    await asyncio.sleep(seconds)
    if breaks:
        raise ValueError("broken")
    say("finished", seconds)


async def main():
    try:
        await asyncio.gather(nap(1, False), nap(2, True), nap(3, False))
    except ValueError as error:
        say("caught", error)
    await asyncio.sleep(2)
    say("done")


asyncio.run(main())
