-- Judit Polgár gives an exhibition: she moves, then goes to the next board.
local board = async(function(p)
  for _ = 1, p.moves do
    work(p.think)          -- her own time: she thinks about one board at a time
    await(sleep(p.reply))  -- the opponent's time: meanwhile she plays at other boards
  end
end)

return {
  title  = "Chess, board after board",
  lesson = "She waits for all replies at once, so only her own thinking adds up: 24 games take one hour, not 12.",
  clock  = "virtual",
  params = {
    opponents = { default = 24, min = 1, max = 10000, help = "number of boards, one opponent each" },
    moves = { default = 30, min = 1, max = 1000, help = "pairs of moves per game" },
    think = { default = "5s", min = "1ms", max = "1h", help = "time the player thinks about a move" },
    reply = { default = "55s", min = "1ms", max = "1h", help = "time an opponent takes to reply" },
  },
  expects = { findings = {} },
  main = async(function(p)
    local boards = {}
    for number = 1, p.opponents do boards[number] = board(p) end
    await(gather(boards))
    print("every game is over at " .. clock())
  end),
}
