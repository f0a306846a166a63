import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def worker(name, lock):
    async with lock:
        say(name, "has it")
        await asyncio.sleep(2)


async def main():
    lock = asyncio.Lock()
    a, b, c = [asyncio.create_task(worker(name, lock)) for name in "abc"]
    await asyncio.sleep(1)
    b.cancel()
    await asyncio.wait([a, b, c])
    say(b.cancelled(), lock.locked())


asyncio.run(main())
