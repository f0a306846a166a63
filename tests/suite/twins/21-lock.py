import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def worker(name, lock):
    async with lock:
        say(name, "has it")
        await asyncio.sleep(1)
    say(name, "left")


async def main():
    lock = asyncio.Lock()
    await asyncio.gather(*(worker(name, lock) for name in "abc"))
    say(lock.locked())


asyncio.run(main())
