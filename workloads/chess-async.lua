-- Judit Polgár gives an exhibition: she moves, and goes on to the next table.
local board = async(function(p)
  for _ = 1, p.moves do
    work(p.think)          -- her own time: only one board can have it
    await(sleep(p.reply))  -- the opponent's time: she is elsewhere meanwhile
  end
end)

return {
  title  = "Chess, from table to table",
  lesson = "The answers are waited for all at once, so only her own thinking counts: 24 games take one hour, not 12.",
  clock  = "virtual",
  params = {
    opponents = { default = 24, min = 1, max = 10000, help = "boards, one opponent each" },
    moves = { default = 30, min = 1, max = 1000, help = "pairs of moves in a game" },
    think = { default = "5s", min = "1ms", max = "1h", help = "how long the player thinks about a move" },
    reply = { default = "55s", min = "1ms", max = "1h", help = "how long an opponent takes to answer" },
  },
  expects = { findings = {} },
  main = async(function(p)
    local boards = {}
    for number = 1, p.opponents do boards[number] = board(p) end
    await(gather(boards))
    print("every game is over at " .. clock())
  end),
}
