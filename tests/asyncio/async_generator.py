import asyncio

import counting


async def numbers(count):
    for number in range(count):
        await asyncio.sleep(0)
        yield number


async def main():
    found = [number async for number in numbers(5)]
    assert found == [0, 1, 2, 3, 4]
    async for number in numbers(5):
        if number == 2:
            break


counting.run(main())
