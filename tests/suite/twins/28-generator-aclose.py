import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def numbers():
    try:
        for number in range(100):
            yield number
            await asyncio.sleep(1)
    finally:
        say("closing")
        await asyncio.sleep(2)
        say("closed")


async def main():
    generator = numbers()
    async for number in generator:
        say(number)
        if number == 2:
            break
    await generator.aclose()
    say("done")


asyncio.run(main())
