import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def runner(seconds, barrier):
    await asyncio.sleep(seconds)
    say(seconds, "arrives")
    await barrier.wait()
    return asyncio.get_running_loop().time() > 2.9


async def main():
    barrier = asyncio.Barrier(3)
    say(*await asyncio.gather(*(runner(seconds, barrier) for seconds in (3, 1, 2))))


asyncio.run(main())
