"""Chess, one game at a time: she waits at the board for every reply. 24 games of 30 minutes take 12 hours.

Run it with `--clock virtual`, or with fewer boards: `chess_sync.py 1 2`.
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
        time.sleep(THINK)  # she thinks and moves
        time.sleep(REPLY)  # she waits at the board until the opponent has moved


async def main():
    started = time.monotonic()
    for number in range(1, OPPONENTS + 1):
        await board()
        print("game", number, "is over after", round(time.monotonic() - started), "s")


if __name__ == "__main__":
    asyncio.run(main())
