"""Gather two results: `gather` returns results in the order of its arguments, not in the order in which they finish."""

import asyncio


async def sort(numbers):
    """Sorts a list after sleeping for as many seconds as its largest number."""
    await asyncio.sleep(max(numbers))
    return sorted(numbers)


async def main():
    short = asyncio.create_task(sort([3, 2, 1]))  # ready after 3 s
    long = asyncio.create_task(sort([10, 5, 0]))  # ready after 10 s
    results = await asyncio.gather(short, long)
    print("short is done:", short.done())
    print("long is done:", long.done())
    print(results)


if __name__ == "__main__":
    asyncio.run(main())
