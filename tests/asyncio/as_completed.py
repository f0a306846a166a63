import asyncio

import counting


async def work(number):
    await asyncio.sleep(0.001 * (3 - number))
    return number


async def main():
    found = [await next_one for next_one in asyncio.as_completed([work(number) for number in range(3)])]
    assert sorted(found) == [0, 1, 2]


counting.run(main())
