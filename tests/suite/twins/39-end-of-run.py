import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def service(name):
    try:
        await asyncio.sleep(60)
    finally:
        say(name, "stops")
        await asyncio.sleep(1)
        say(name, "stopped")


async def main():
    service_task = asyncio.create_task(service("service"))
    await asyncio.sleep(1)
    say("main ends", service_task.done())


asyncio.run(main())
