import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def consumer(name, condition, items):
    async with condition:
        while not items:
            await condition.wait()
        say(name, "got", items.pop(0))


async def main():
    condition = asyncio.Condition()
    items = []
    tasks = [asyncio.create_task(consumer(name, condition, items)) for name in "ab"]
    for item in (1, 2):
        await asyncio.sleep(1)
        async with condition:
            items.append(item)
            condition.notify()
    await asyncio.gather(*tasks)
    say("done")


asyncio.run(main())
