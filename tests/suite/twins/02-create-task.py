import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def work(name, seconds):
    say(name, "begins")
    await asyncio.sleep(seconds)
    say(name, "ends")
    return name.upper()


async def main():
    a = asyncio.create_task(work("a", 2))
    b = asyncio.create_task(work("b", 1))
    say("created", a.done(), b.done())
    say(await a, await b)
    say(a.done(), b.done())


asyncio.run(main())
