import asyncio

import counting


async def main():
    await asyncio.sleep(0)
    raise SystemExit(3)


counting.run(main())
