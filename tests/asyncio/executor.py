import asyncio
from concurrent.futures import ThreadPoolExecutor

import counting


def compute(number):
    if number == 2:
        raise ValueError("two")
    return number * number


async def main():
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(2) as pool:
        calls = [loop.run_in_executor(pool, compute, number) for number in range(4)]
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results[2], ValueError) and results[3] == 9


counting.run(main())
