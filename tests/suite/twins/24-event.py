import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def waiter(name, event):
    await event.wait()
    say(name, "passes")


async def main():
    event = asyncio.Event()
    tasks = [asyncio.create_task(waiter(name, event)) for name in "ab"]
    await asyncio.sleep(1)
    say(event.is_set())
    event.set()
    await asyncio.gather(*tasks)
    await event.wait()
    event.clear()
    say(event.is_set())


asyncio.run(main())
