import asyncio
import sys

import counting


async def main():
    if sys.version_info < (3, 11):
        return
    try:
        async with asyncio.timeout(0.002):
            await asyncio.sleep(100)
    except TimeoutError:
        pass
    async with asyncio.timeout(1):
        await asyncio.sleep(0.001)


counting.run(main())
