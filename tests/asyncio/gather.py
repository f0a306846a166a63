import asyncio

import counting


async def work(number):
    await asyncio.sleep(0.001 * number)
    return number


async def main():
    return await asyncio.gather(*(work(number) for number in range(5)))


assert counting.run(main()) == [0, 1, 2, 3, 4]
