-- A common mistake: the player's own thinking is awaited too, as if she could sit at every board at once.
local board = async(function(p)
  for _ = 1, p.moves do
    await(sleep(p.think, { actor = "player" }))  -- wrong: she cannot think about several boards at once
    await(sleep(p.reply))                        -- right: the opponents think concurrently
  end
end)

return {
  title  = "Chess, at every board at once",
  lesson = "Work that one actor must do alone cannot overlap. Here it is awaited, so the run takes an impossible half "
        .. "hour: the player thinks about 24 boards in the same five seconds.",
  clock  = "virtual",
  params = {
    opponents = { default = 24, min = 1, max = 10000, help = "number of boards, one opponent each" },
    moves = { default = 30, min = 1, max = 1000, help = "pairs of moves per game" },
    think = { default = "5s", min = "1ms", max = "1h", help = "time the player thinks about a move" },
    reply = { default = "55s", min = "1ms", max = "1h", help = "time an opponent takes to reply" },
  },
  expects = { findings = { "overlapping-work" } },
  main = async(function(p)
    local boards = {}
    for number = 1, p.opponents do boards[number] = board(p) end
    await(gather(boards))
    print("every game is over at " .. clock())
  end),
}
