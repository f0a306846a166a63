-- The common mistake: the player's own thinking is awaited too, as if she could sit at every board at once.
local board = async(function(p)
  for _ = 1, p.moves do
    await(sleep(p.think, { actor = "player" }))  -- wrong: her own time, and there is only one of her
    await(sleep(p.reply))                        -- right: the opponents do think side by side
  end
end)

return {
  title  = "Chess, at every board at once",
  lesson = "Awaiting what only one person can do makes the plan look faster than it can be: half an hour, with one "
        .. "player thinking at 24 boards in the same five seconds.",
  clock  = "virtual",
  params = {
    opponents = { default = 24, min = 1, max = 10000, help = "boards, one opponent each" },
    moves = { default = 30, min = 1, max = 1000, help = "pairs of moves in a game" },
    think = { default = "5s", min = "1ms", max = "1h", help = "how long the player thinks about a move" },
    reply = { default = "55s", min = "1ms", max = "1h", help = "how long an opponent takes to answer" },
  },
  expects = { findings = { "overlapping-work" } },
  main = async(function(p)
    local boards = {}
    for number = 1, p.opponents do boards[number] = board(p) end
    await(gather(boards))
    print("every game is over at " .. clock())
  end),
}
