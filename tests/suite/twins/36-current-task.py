import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def who():
    await asyncio.sleep(0)
    say(asyncio.current_task().get_name())


async def main():
    a = asyncio.create_task(who(), name="a")
    b = asyncio.create_task(who(), name="b")
    names = sorted(task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task())
    say(*names)
    await asyncio.gather(a, b)
    say(len(asyncio.all_tasks()))


asyncio.run(main())
