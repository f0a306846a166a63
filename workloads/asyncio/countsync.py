"""Count, blocking: the same counters with a blocking sleep. Running them as tasks does not help: the seconds add up."""

import asyncio
import time


async def count():
    print("One")
    time.sleep(1)  # blocks the loop: no other task can run for one second
    print("Two")


async def main():
    await asyncio.gather(count(), count(), count())


if __name__ == "__main__":
    asyncio.run(main())
