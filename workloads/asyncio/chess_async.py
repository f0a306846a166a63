"""Chess, board after board: she waits for all replies at once, so only her own thinking adds up: 24 games take one hour.

Run it with `--clock virtual`, or with fewer boards: `chess_async.py 3 2`.
"""

import asyncio
import sys
import time

OPPONENTS = int(sys.argv[1]) if len(sys.argv) > 1 else 24
MOVES = int(sys.argv[2]) if len(sys.argv) > 2 else 30
THINK = 5  # seconds that the player thinks about a move
REPLY = 55  # seconds that an opponent takes to reply


async def board():
    for _ in range(MOVES):
        time.sleep(THINK)  # her own time: she thinks about one board at a time
        await asyncio.sleep(REPLY)  # the opponent's time: meanwhile she plays at other boards


async def main():
    started = time.monotonic()
    await asyncio.gather(*(board() for _ in range(OPPONENTS)))
    print("every game is over after", round(time.monotonic() - started), "s")


if __name__ == "__main__":
    asyncio.run(main())
